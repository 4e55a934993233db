# Refuses plans that delete or replace a master, and plans that are not whole.
#
#   pvekube plan --format json > plan-shown.json
#   conftest test --policy docs/examples/policy plan-shown.json
#   opa eval --data docs/examples/policy --input plan-shown.json 'data.main.deny'
package main

import rego.v1

deny contains message if {
	some resource in input.resource_changes
	resource.type == "pvekube_machine"
	"delete" in resource.change.actions
	resource.change.before.role == "master"
	message := sprintf("%s is a master and must not be deleted", [resource.address])
}

deny contains message if {
	not input.complete
	message := "the plan is not whole: a node or cluster could not be seen"
}

deny contains message if {
	some check in input.checks
	check.verdict == "failed"
	message := sprintf("%s: %s", [check.id, check.message])
}
