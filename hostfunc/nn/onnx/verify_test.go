package onnx

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// library makes a file with a text, and returns its path and its digest.
func library(t *testing.T, text string) (path, digest string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "lib.so")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
}

// TestInstalled holds the pinned digests to those of the script that installs the library.
func TestInstalled(t *testing.T) {
	script, err := os.ReadFile("../../../scripts/onnxruntime.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range installed {
		if !strings.Contains(string(script), "sum="+digest) {
			t.Errorf("the script has no %s", digest)
		}
	}
	if got := strings.Count(string(script), "sum=") - strings.Count(string(script), "sum=$"); got != len(installed) {
		t.Errorf("the script has %d digests; want the %d that are pinned", got, len(installed))
	}
}

// TestCandidates goes through what is named, and the digests that it must have.
func TestCandidates(t *testing.T) {
	digest := strings.Repeat("ab", 32)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", os.Getenv("XDG_CACHE_HOME"))
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(user, "bungee", "onnxruntime", usualNames()[0])
	if err := os.MkdirAll(filepath.Dir(mine), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var linker []candidate
	for _, name := range usualNames() {
		linker = append(linker, candidate{name, nil})
	}
	tests := []struct {
		why            string
		path, digest   string
		env, envDigest string
		want           []candidate
	}{
		{"nothing is named", "", "", "", "", append([]candidate{{mine, installed}}, linker...)},
		{"a digest alone is the installed file's, and the linker is not asked", "", digest, "", "", []candidate{{mine, []string{digest}}}},
		{"a file", "/opt/lib.so", "", "", "", []candidate{{"/opt/lib.so", nil}}},
		{"a file and its digest", "/opt/lib.so", strings.ToUpper(digest), "", "", []candidate{{"/opt/lib.so", []string{digest}}}},
		{"by the environment", "", "", "/opt/lib.so", digest, []candidate{{"/opt/lib.so", []string{digest}}}},
		{"a name for the linker", "lib.so", "", "", "", []candidate{{"lib.so", nil}}},
		{"a name for the linker with a digest, which nobody could check", "lib.so", digest, "", "", nil},
		{"a digest that is too short", "/opt/lib.so", "abcd", "", "", nil},
		{"what is no digest", "/opt/lib.so", strings.Repeat("xy", 32), "", "", nil},
	}
	for _, tt := range tests {
		t.Setenv(Env, tt.env)
		t.Setenv(EnvDigest, tt.envDigest)
		got, err := candidates(tt.path, tt.digest)
		same := slices.EqualFunc(got, tt.want, func(a, b candidate) bool { return a.file == b.file && slices.Equal(a.digests, b.digests) })
		if !same || (err == nil) != (tt.want != nil) {
			t.Errorf("%s: got %v, %v; want %v", tt.why, got, err, tt.want)
		}
	}
}

// TestVerify goes through files that are not what they should be.
func TestVerify(t *testing.T) {
	good, digest := library(t, "library")
	other, _ := library(t, "another")
	open, _ := library(t, "library")
	if err := os.Chmod(open, 0o622); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		why, file, digest, word string
	}{
		{"right", good, digest, ""},
		{"any digest will do", filepath.Join(t.TempDir(), "none"), "", ""},
		{"another file", other, digest, "has SHA-256"},
		{"missing", filepath.Join(t.TempDir(), "none"), digest, "no such file"},
		{"a folder", t.TempDir(), digest, "is no file"},
		{"others could change it after it was read", open, digest, "chmod go-w"},
	}
	for _, tt := range tests {
		if tt.file == open && runtime.GOOS == "windows" {
			continue
		}
		c := candidate{file: tt.file}
		if tt.digest != "" {
			c.digests = []string{"0", tt.digest}
		}
		f, err := c.open()
		if f != nil {
			f.Close()
		}
		if (err == nil) != (tt.word == "") || err != nil && !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: got %v; want an error with %q", tt.why, err, tt.word)
		}
	}
}

// TestOpenHoldsTheFile has the file replaced after its digest was right: what is loaded is
// what was read.
func TestOpenHoldsTheFile(t *testing.T) {
	path, digest := library(t, "library")
	f, err := candidate{path, []string{digest}}.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	evil, _ := library(t, "evil")
	if err := os.Rename(evil, path); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "linux" {
		t.Skip("a descriptor has no path here; on Linux run go test -run TestOpenHoldsTheFile ./hostfunc/nn/onnx")
	}
	got, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil || string(got) != "library" {
		t.Errorf("the linker would get %q, %v; want what was read", got, err)
	}
}
