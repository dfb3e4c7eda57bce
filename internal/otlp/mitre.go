package otlp

import (
	"slices"
	"strings"
)

// tactics are the tactics of MITRE ATT&CK for Enterprise, by the tag that rules use.
var tactics = map[string]struct{ id, name string }{
	"mitre_reconnaissance":        {"TA0043", "Reconnaissance"},
	"mitre_resource_development":  {"TA0042", "Resource Development"},
	"mitre_initial_access":        {"TA0001", "Initial Access"},
	"mitre_execution":             {"TA0002", "Execution"},
	"mitre_persistence":           {"TA0003", "Persistence"},
	"mitre_privilege_escalation":  {"TA0004", "Privilege Escalation"},
	"mitre_defense_evasion":       {"TA0005", "Defense Evasion"},
	"mitre_credential_access":     {"TA0006", "Credential Access"},
	"mitre_discovery":             {"TA0007", "Discovery"},
	"mitre_lateral_movement":      {"TA0008", "Lateral Movement"},
	"mitre_collection":            {"TA0009", "Collection"},
	"mitre_exfiltration":          {"TA0010", "Exfiltration"},
	"mitre_command_and_control":   {"TA0011", "Command and Control"},
	"mitre_impact":                {"TA0040", "Impact"},
	"mitre_remote_access":         {"TA0011", "Command and Control"},
	"mitre_remote_service":        {"TA0008", "Lateral Movement"},
	"mitre_lateral_execution":     {"TA0002", "Execution"},
	"mitre_privileged_escalation": {"TA0004", "Privilege Escalation"},
}

// threat is what the tags of a rule say about an attack.
type threat struct {
	tacticIDs, tacticNames, techniqueIDs []string
}

// threatOf reads the tags: names of tactics (mitre_execution), tactic IDs (TA0002)
// and technique IDs (T1059, T1059.004).
func threatOf(tags []string) threat {
	var t threat
	for _, tag := range tags {
		if tactic, ok := tactics[strings.ToLower(tag)]; ok {
			t.tactic(tactic.id, tactic.name)
			continue
		}
		switch id := strings.ToUpper(tag); {
		case isTactic(id):
			name := ""
			for _, tactic := range tactics {
				if tactic.id == id {
					name = tactic.name
				}
			}
			t.tactic(id, name)
		case isTechnique(id):
			t.techniqueIDs = appendNew(t.techniqueIDs, id)
		}
	}
	return t
}

func (t *threat) tactic(id, name string) {
	t.tacticIDs = appendNew(t.tacticIDs, id)
	if name != "" {
		t.tacticNames = appendNew(t.tacticNames, name)
	}
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func isTactic(s string) bool { return len(s) == 6 && s[:2] == "TA" && digits(s[2:]) }

func isTechnique(s string) bool {
	id, sub, hasSub := strings.Cut(s, ".")
	return len(id) == 5 && id[0] == 'T' && digits(id[1:]) && (!hasSub || len(sub) == 3 && digits(sub))
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
