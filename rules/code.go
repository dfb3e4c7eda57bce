package rules

// Code says what kind of problem a Problem is. The codes are those of Falco, so that
// tools that know them work with Windhover too.
type Code string

// Codes of errors.
const (
	ErrFileRead         Code = "LOAD_ERR_FILE_READ"
	ErrYAMLParse        Code = "LOAD_ERR_YAML_PARSE"
	ErrYAMLValidate     Code = "LOAD_ERR_YAML_VALIDATE"
	ErrCompileCondition Code = "LOAD_ERR_COMPILE_CONDITION"
	ErrCompileOutput    Code = "LOAD_ERR_COMPILE_OUTPUT"
	ErrValidate         Code = "LOAD_ERR_VALIDATE"
	ErrExtension        Code = "LOAD_ERR_EXTENSION"
)

// Codes of warnings.
const (
	WarnUnknownSource          Code = "LOAD_UNKNOWN_SOURCE"
	WarnUnsafeNA               Code = "LOAD_UNSAFE_NA_CHECK"
	WarnNoEventType            Code = "LOAD_NO_EVTTYPE"
	WarnUnknownFilter          Code = "LOAD_UNKNOWN_FILTER"
	WarnUnusedMacro            Code = "LOAD_UNUSED_MACRO"
	WarnUnusedList             Code = "LOAD_UNUSED_LIST"
	WarnUnknownItem            Code = "LOAD_UNKNOWN_ITEM"
	WarnDeprecated             Code = "LOAD_DEPRECATED_ITEM"
	WarnExtension              Code = "LOAD_WARNING_EXTENSION"
	WarnAppendNoValues         Code = "LOAD_APPEND_NO_VALUES"
	WarnExceptionNameNotUnique Code = "LOAD_EXCEPTION_NAME_NOT_UNIQUE"
	WarnInvalidMacroName       Code = "LOAD_INVALID_MACRO_NAME"
	WarnInvalidListName        Code = "LOAD_INVALID_LIST_NAME"
	WarnCondition              Code = "LOAD_COMPILE_CONDITION"
	WarnUnknownKey             Code = "LOAD_UNKNOWN_KEY"
)

// Codes of what package lint finds. Falco has none of them.
const (
	LintShadowed         Code = "LINT_SHADOWED_RULE"
	LintNever            Code = "LINT_NEVER_HOLDS"
	LintAlways           Code = "LINT_ALWAYS_HOLDS"
	LintAppendPrecedence Code = "LINT_APPEND_PRECEDENCE"
	LintNegativeMissing  Code = "LINT_NEGATIVE_ON_MISSING"
	LintNotEqualAny      Code = "LINT_NOT_EQUAL_ANY"
	LintNAText           Code = "LINT_NA_TEXT"
	LintFieldAsText      Code = "LINT_FIELD_AS_TEXT"
	LintListAsText       Code = "LINT_LIST_AS_TEXT"
)

var codeTexts = map[Code]string{
	ErrFileRead:         "File read error",
	ErrYAMLParse:        "YAML parse error",
	ErrYAMLValidate:     "Error validating internal structure of YAML file",
	ErrCompileCondition: "Error compiling condition",
	ErrCompileOutput:    "Error compiling output",
	ErrValidate:         "Error validating rule/macro/list/exception objects",
	ErrExtension:        "Error in extension item",

	WarnUnknownSource:          "Unknown event source",
	WarnUnsafeNA:               "Unsafe <NA> comparison in condition",
	WarnNoEventType:            "Condition has no event-type restriction",
	WarnUnknownFilter:          "Unknown field or event-type in condition or output",
	WarnUnusedMacro:            "Unused macro",
	WarnUnusedList:             "Unused list",
	WarnUnknownItem:            "Unknown rules file item",
	WarnDeprecated:             "Used deprecated item",
	WarnExtension:              "Warning in extension item",
	WarnAppendNoValues:         "Overriding/appending with no values",
	WarnExceptionNameNotUnique: "Multiple exceptions defined with the same name",
	WarnInvalidMacroName:       "Invalid macro name",
	WarnInvalidListName:        "Invalid list name",
	WarnCondition:              "Warning in rule condition",
	WarnUnknownKey:             "Unknown key in item definition",

	LintShadowed:         "Rule shadowed by an earlier one under rule_matching: first",
	LintNever:            "Condition, or a part of it, that never holds",
	LintAlways:           "Condition, or a part of it, that always holds",
	LintAppendPrecedence: "Appended text binds tighter than what it is appended to",
	LintNegativeMissing:  "Negative comparison with a field that has no value on these events",
	LintNotEqualAny:      "!= on a field of several values holds if one of them differs",
	LintNAText:           "Comparison with <NA> of a field that is never <NA>",
	LintFieldAsText:      "Text that looks like a field",
	LintListAsText:       "Text that looks like a list or a macro",
}

// Text returns a short description of the code.
func (c Code) Text() string { return codeTexts[c] }

// Warning reports whether a file with the problem can be used.
func (c Code) Warning() bool {
	switch c {
	case ErrFileRead, ErrYAMLParse, ErrYAMLValidate, ErrCompileCondition, ErrCompileOutput, ErrValidate, ErrExtension:
		return false
	}
	return true
}
