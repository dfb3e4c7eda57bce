package config

import (
	"errors"
	"fmt"
	"strings"
)

// EnvPrefix starts the name of every variable that sets a key. Levels are separated by
// two underscores: WINDHOVER_SERVER__ADDRESS is server::address.
const EnvPrefix = "WINDHOVER_"

// EnvName returns the variable that sets the key at a path.
func EnvName(path string) string {
	segments := strings.Split(path, Delimiter)
	for i, s := range segments {
		segments[i] = plain(s)
	}
	return EnvPrefix + strings.Join(segments, "__")
}

// plain writes a key as it stands in the name of a variable, where only letters, digits
// and underscores are allowed: windhover_k8saudit/a is WINDHOVER_K8SAUDIT_A.
func plain(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
}

// envSettings returns what the variables set. Names are resolved against tree, what
// stands so far, because a variable's name cannot tell a/b from a_b: what stands wins.
//
// A name with one level that is no key is not meant for us: Kubernetes sets such for each
// Service (WINDHOVER_PORT, WINDHOVER_SERVICE_HOST).
func envSettings(env map[string]string, tree map[string]any) ([]Setting, Problems) {
	var (
		settings []Setting
		problems Problems
	)
	for _, name := range sortedKeys(env) {
		rest, ours := strings.CutPrefix(name, EnvPrefix)
		if !ours {
			continue
		}
		segments := strings.Split(rest, "__")
		path, err := envPath(segments, tree)
		if err != nil {
			if len(segments) == 1 {
				continue
			}
			problems = append(problems, Problem{Origin: Origin{Layer: Env, Name: name}, Text: err.Error()})
			continue
		}
		settings = append(settings, Setting{Path: path, Value: scalar(env[name]), Origin: Origin{Layer: Env, Name: name}})
	}
	return settings, problems
}

func envPath(segments []string, tree map[string]any) (string, error) {
	path := make([]string, len(segments))
	for i, s := range segments {
		if s == "" {
			return "", errors.New("has an empty level; levels are separated by two underscores")
		}
		var matches []string
		for _, key := range sortedKeys(tree) {
			if plain(key) == s {
				matches = append(matches, key)
			}
		}
		switch {
		case len(matches) > 1:
			return "", fmt.Errorf("may mean each of %s; use --set or a file", strings.Join(matches, ", "))
		case len(matches) == 1:
			path[i] = matches[0]
		case i == 0:
			keys := sortedKeys(tree)
			for k := range keys {
				keys[k] = plain(keys[k])
			}
			return "", fmt.Errorf("no key %q%s", s, didYouMean(s, keys))
		default:
			path[i] = strings.ToLower(s)
		}
		tree, _ = tree[path[i]].(map[string]any) // nil below what stands
	}
	return join(path), nil
}
