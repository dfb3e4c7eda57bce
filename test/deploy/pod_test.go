package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// mountVolumes lays out the volumes of a workload's pods below a directory, as the kubelet
// does, and returns the directory. ConfigMaps and Secrets that users bring get a content.
// Paths in Windhover's configuration are made to begin with the directory.
func mountVolumes(tb testing.TB, m *manifest, w *workload) string {
	tb.Helper()
	dir := tb.TempDir()
	library, err := filepath.Abs(repository + "/rules/library")
	if err != nil {
		tb.Fatal(err)
	}
	for _, mount := range w.container().VolumeMounts {
		at := filepath.Join(dir, mount.MountPath)
		i := slices.IndexFunc(w.template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if i < 0 { // of a claim
			if err := os.MkdirAll(at, 0o750); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		switch v := w.template.Spec.Volumes[i]; {
		case v.ConfigMap != nil:
			files := configMap(m, v.ConfigMap.Name)
			if text, ok := files["windhover.yaml"]; ok {
				files["windhover.yaml"] = strings.NewReplacer(
					"/etc/windhover", dir+"/etc/windhover",
					"/var/lib/windhover", dir+"/var/lib/windhover",
					"/usr/share/windhover/rules", library, // in the image
				).Replace(text)
			}
			writeVolume(tb, at, files)
		case v.Secret != nil:
			all := secret(tb, m, v.Secret.SecretName)
			files := map[string]string{}
			for _, item := range v.Secret.Items {
				if _, ok := all[item.Key]; !ok {
					tb.Errorf("Secret %s has no key %s", v.Secret.SecretName, item.Key)
				}
				files[item.Path] = all[item.Key]
			}
			if len(v.Secret.Items) == 0 {
				files = all
			}
			writeVolume(tb, at, files)
		default: // empty, or of the node
			if err := os.MkdirAll(at, 0o750); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return dir
}

// configMap returns the content of a ConfigMap of the manifest, or one that a user might
// have made.
func configMap(m *manifest, name string) map[string]string {
	for _, o := range m.objects {
		if v, ok := o.value.(*corev1.ConfigMap); ok && o.name == name {
			return maps.Clone(v.Data)
		}
	}
	return map[string]string{"team.yaml": "- list: team\n  items: [ana]\n"}
}

// secret returns the content of a Secret of the manifest, or one with a certificate.
func secret(tb testing.TB, m *manifest, name string) map[string]string {
	tb.Helper()
	files := map[string]string{}
	for _, o := range m.objects {
		if v, ok := o.value.(*corev1.Secret); ok && o.name == name {
			for key, text := range v.Data {
				files[key] = string(text)
			}
			return files
		}
	}
	cert, key := selfSigned(tb)
	for _, name := range []string{"ca.crt", "ca.pem", "tls.crt"} {
		files[name] = cert
	}
	files["tls.key"] = key
	return files
}

// selfSigned makes a certificate that is its own authority.
func selfSigned(tb testing.TB) (cert, key string) {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &private.PublicKey, private)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)
}

// writeVolume writes files to a directory in the way of the kubelet: each is a link to a
// file in ..data, which is itself a link, so that all change in one step.
func writeVolume(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		tb.Fatal(err)
	}
	generation := filepath.Join(dir, "..generation-"+strconv.FormatInt(time.Now().UnixNano(), 10))
	if err := os.Mkdir(generation, 0o750); err != nil {
		tb.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(generation, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(generation), next); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		tb.Fatal(err)
	}
	for name := range files {
		link := filepath.Join(dir, name)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join("..data", name), link); err != nil {
			tb.Fatal(err)
		}
	}
}

// podCommand returns the command of a workload's pods: with their variables and no others,
// and with the volumes below dir.
func podCommand(tb testing.TB, w *workload, dir string) *exec.Cmd {
	tb.Helper()
	c := w.container()
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		args[i] = strings.Replace(a, "/etc/windhover", dir+"/etc/windhover", 1)
	}
	cmd := exec.CommandContext(tb.Context(), windhover(tb), args...)
	cmd.Env = []string{"PATH=/nowhere"}
	for _, e := range c.Env {
		value := e.Value
		switch {
		case e.ValueFrom == nil:
		case e.ValueFrom.FieldRef != nil:
			value = "node-1"
		case e.ValueFrom.SecretKeyRef != nil:
			value = "of-secret-" + e.ValueFrom.SecretKeyRef.Name
		}
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", e.Name, value))
	}
	return cmd
}

// writeYAML writes v as YAML.
func writeYAML(tb testing.TB, file string, v any) {
	tb.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// groupsOf reads a file of Prometheus rules.
func groupsOf(tb testing.TB, file string) []ruleGroup {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var groups ruleGroups
	if err := yaml.Unmarshal(text, &groups); err != nil {
		tb.Fatalf("read %s: %v", file, err)
	}
	return groups.Groups
}
