package field

// jsonGroups lists the fields of the other sources that report documents.
func jsonGroups() []group { return nil }
