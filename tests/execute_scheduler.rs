//! The benchmark's numbers, held: a schedule that gets worse fails here.

#[path = "../benches/scheduler.rs"]
mod bench;

#[test]
fn the_makespan_stays_close_to_its_lower_bound() {
    let cases: Vec<bench::Case> = (0..bench::CASES).map(bench::case).collect();
    assert!(cases.iter().all(|case| (3..=50).contains(&case.nodes) && (10..=500).contains(&case.machines)));
    let to = |bound: fn(&bench::Case) -> f64| -> Vec<f64> {
        cases.iter().map(|case| bench::makespan(case) / bound(case)).collect()
    };
    let (to_bound, to_plain) = (to(|case| bench::bounds(case).0), to(|case| bench::bounds(case).1));
    let reached = bench::within_reach(&to_bound, &to_plain);
    assert!(reached.len() >= 20, "only {} cases", reached.len());
    for ratios in [to_bound, reached] {
        let (median, worst) = bench::summary(ratios);
        assert!(median <= 1.05, "median {median:.3}");
        assert!(worst <= 1.15, "worst {worst:.3}");
    }
}

#[test]
fn no_schedule_beats_the_bound_and_ours_beats_the_simple_ones() {
    for seed in 0..bench::CASES {
        let case = bench::case(seed);
        let (bound, plain) = bench::bounds(&case);
        let ours = bench::makespan(&case);
        assert!(plain <= bound && bound <= ours * 1.000_001, "case {seed}: {plain} {bound} {ours}");
        assert!(ours <= bench::flat(&case, 10) * 1.000_001 && ours < bench::one_by_one(&case), "case {seed}");
    }
}
