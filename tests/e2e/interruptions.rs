//! Every command of a machine's life, interrupted in every way; the next apply (or the same one) makes good.

use std::fs;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::gates::{self, Gate};
use super::lab::{Lab, Shape};
use super::life::{LIFE, Phase, Point, nothing_is_left};
use super::sshd::eventually;

/// A lab with one node whose commands can be held back.
pub struct Life {
    pub lab: Lab,
    runs: usize,
    /// Which change is asked for.
    pub time: u64,
}

/// A running apply.
pub struct Apply {
    pub child: Child,
    log: std::path::PathBuf,
}

impl Apply {
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    pub fn wait_until_said(&self, text: &str) {
        eventually(&format!("it says `{text}`: {}", self.log.display()), || self.said().contains(text));
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it ended.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Life {
    pub fn new() -> Self {
        let lab = Lab::new(Shape::Cluster, &["pve1.lan"]);
        gates::install(&lab.nodes["pve1"].root);
        Self { lab, runs: 0, time: 0 }
    }

    pub fn arm(&self, point: &Point) -> Gate {
        Gate::arm(&self.lab.nodes["pve1"].root, point.when, point.command)
    }

    pub fn apply(&mut self, phase: &Phase) -> Apply {
        self.apply_with(phase, &[])
    }

    /// An apply that is held at this point; where it ends before, there was nothing to do any more.
    fn apply_until(&mut self, phase: &Phase, point: &Point) -> Apply {
        let gate = self.arm(point);
        let mut apply = self.apply(phase);
        if gate.is_held_before_its_end(&mut apply) {
            return apply;
        }
        gate.disarm();
        (phase.prepare)(self);
        let gate = self.arm(point);
        let apply = self.apply(phase);
        gate.wait_until_held_by(&apply);
        apply
    }

    /// As `apply`, in an environment of its own.
    pub fn apply_with(&mut self, phase: &Phase, environment: &[(&str, &str)]) -> Apply {
        self.lab.write("cluster.yaml", &phase.manifest(self.time));
        self.spawn(phase.words, environment)
    }

    /// pvekube with these words, in the background.
    pub fn spawn(&mut self, words: &[&str], environment: &[(&str, &str)]) -> Apply {
        self.runs += 1;
        let log = self.lab.path(&format!("run-{}", self.runs));
        let file = fs::File::create(&log).unwrap();
        let mut command = self.lab.command(words);
        command.envs(environment.iter().copied()).stdout(file.try_clone().unwrap()).stderr(file);
        Apply { child: command.stdin(Stdio::null()).spawn().unwrap(), log }
    }

    /// pvekube with these words on a terminal, and what types on it.
    pub fn spawn_on_a_terminal(&mut self, words: &str) -> (Apply, ChildStdin) {
        self.runs += 1;
        let log = self.lab.path(&format!("run-{}", self.runs));
        let command = self.lab.command(&[]);
        let line = format!("{} {words}", command.get_program().display());
        let mut child = Command::new("script")
            .args(["-qefc", &line])
            .arg(&log)
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(command.get_current_dir().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("script (util-linux) gives the program a terminal");
        let keyboard = child.stdin.take().unwrap();
        (Apply { child, log }, keyboard)
    }

    /// One that nothing befalls; what it says in the end.
    pub fn apply_in_peace(&mut self, phase: &Phase) -> String {
        let mut apply = self.apply(phase);
        let exit = apply.wait();
        assert_eq!(exit, Some(0), "{}", apply.said());
        apply.said()
    }
}

/// `kill -9` of pvekube at every command: the next apply attaches to what still runs and goes on from there.
pub fn killed_at_every_command() {
    let mut life = Life::new();
    for phase in &LIFE {
        (phase.prepare)(&mut life);
        let mut before: Option<(&Point, Gate)> = None;
        for point in phase.commands() {
            let gate = life.arm(point);
            let mut apply = life.apply(phase);
            resume(&apply, before.take());
            gate.wait_until_held_by(&apply);
            apply.kill();
            before = Some((point, gate));
        }
        let mut apply = life.apply(phase);
        resume(&apply, before.take());
        assert_eq!(apply.wait(), Some(0), "{}", apply.said());
        nothing_is_left(&life.lab, phase.vms);
    }
}

/// The command that the killed apply had started goes on as soon as the next one has found it.
fn resume(apply: &Apply, before: Option<(&Point, Gate)>) {
    let Some((point, gate)) = before else { return };
    if !point.operation.is_empty() {
        apply.wait_until_said(&format!("{} still running, attaching", point.operation));
    }
    gate.release();
}

/// The connection drops at every command, and the same apply comes through.
pub fn dropped_at_every_command() {
    cut_at_every_command(|life| life.lab.nodes["pve1"].kill_sessions());
}

/// The connection freezes at every command: nothing is refused, nothing answers. The same apply comes through.
pub fn frozen_at_every_command() {
    cut_at_every_command(|life| life.lab.nodes["pve1"].freeze_sessions(true));
}

fn cut_at_every_command(cut: impl Fn(&Life)) {
    let mut life = Life::new();
    life.lab.notice_dead_connections_soon();
    for phase in &LIFE {
        (phase.prepare)(&mut life);
        // All at once: a template's last command and the first clone run side by side.
        let gates: Vec<Gate> = phase.commands().into_iter().map(|point| life.arm(point)).collect();
        let mut apply = life.apply(phase);
        for gate in gates {
            gate.wait_until_held_by(&apply);
            let connections = life.lab.nodes["pve1"].connections();
            cut(&life);
            eventually("it connects again", || life.lab.nodes["pve1"].connections() > connections);
            gate.release();
        }
        assert_eq!(apply.wait(), Some(0), "{}", apply.said());
        // What a frozen connection held would find out by its own patience, within a minute.
        life.lab.nodes["pve1"].kill_sessions();
        nothing_is_left(&life.lab, phase.vms);
    }
}

/// The node loses its power at every command: operations die, `/run` is empty, guests are off until it is back. An apply
/// whose step came through all the same goes on; another cleans up, fails, and the next one goes on from there.
pub fn power_lost_at_every_command() {
    let mut life = Life::new();
    for phase in &LIFE {
        (phase.prepare)(&mut life);
        let mut apply = life.apply(phase);
        for point in phase.points {
            let gate = life.arm(point);
            if !gate.is_held_before_its_end(&mut apply) {
                gate.disarm();
                apply = life.apply_until(phase, point);
            }
            life.lab.lose_power("pve1");
        }
        if apply.wait() != Some(0) {
            life.apply_in_peace(phase);
        }
        nothing_is_left(&life.lab, phase.vms);
    }
}

/// Node and pvekube lose their power together, at every command: the next apply says what it found half-made.
pub fn all_power_lost_at_every_command() {
    let mut life = Life::new();
    for phase in &LIFE {
        (phase.prepare)(&mut life);
        let mut found = "";
        for point in phase.points {
            let mut apply = life.apply_until(phase, point);
            assert!(apply.said().contains(found), "not said: {found}\n{}", apply.said());
            apply.kill();
            life.lab.lose_power("pve1");
            found = point.after_power_loss;
        }
        let said = life.apply_in_peace(phase);
        assert!(said.contains(found), "not said: {found}\n{said}");
        nothing_is_left(&life.lab, phase.vms);
    }
}

impl Gate {
    /// False when the apply ends without coming here.
    fn is_held_before_its_end(&self, apply: &mut Apply) -> bool {
        eventually("the next command, or the end", || self.is_held() || apply.child.try_wait().unwrap().is_some());
        self.is_held()
    }

    /// Until it is held; what the apply says if it ends before.
    pub fn wait_until_held_by(&self, apply: &Apply) {
        let begun = std::time::Instant::now();
        while !self.is_held() {
            assert!(begun.elapsed().as_secs() < 40, "{self:?} is never reached:\n{}", apply.said());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
