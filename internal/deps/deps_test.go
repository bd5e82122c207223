package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const ours = "github.com/bungee-xr/bungee/"

type pkg struct {
	ImportPath           string
	Imports, TestImports []string
	XTestImports, Deps   []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e", "-pgo=off", "-json=ImportPath,Imports,TestImports,XTestImports,Deps"}, args...)...)
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// What an application links or downloads must stay small and free of cgo. A test's
// imports count, too: "go mod tidy" of an application follows them.
func TestUESideIsPure(t *testing.T) {
	cgo := map[string]string{
		"wasmtime": "68 MB of static library on a headset",
		"gocv.io":  "needs OpenCV on the build machine",
	}
	runtimes := map[string]string{
		"wazero":           "the UE runs native code",
		"gonum.org":        "plots are the demo's",
		ours + "executor/": "the UE has no executor",
	}
	for _, p := range list(t, "./offload/...", "./elastic/...", "./handler/ue/...") {
		refuse(t, p.ImportPath, p.Deps, cgo)
		if p.ImportPath != ours+"offload/offloadtest" { // only tests import it
			refuse(t, p.ImportPath, p.Deps, runtimes)
		}
		refuse(t, p.ImportPath+"'s tests", slices.Concat(p.TestImports, p.XTestImports), cgo)
	}
	for _, p := range list(t, "./elastic/...", "./handler/ue/...") {
		refuse(t, p.ImportPath, p.Deps, map[string]string{"go-paseto": "a lease is bytes to a UE"})
	}
}

// Ways to find managers are imported by applications: who does without them links nothing of them, and nothing that they alone need.
func TestLeavesCostTheirImportersOnly(t *testing.T) {
	for _, p := range list(t, "./offload/...", "./elastic/...", "./handler/ue") {
		refuse(t, p.ImportPath, p.Deps, map[string]string{
			ours + "handler/ue/discover/": "an application imports it, or does without",
		})
	}
	for _, p := range list(t, "./handler/ue/discover/...") {
		refuse(t, p.ImportPath, p.Deps, map[string]string{
			ours + "offload/manager": "the UE speaks to the manager, it does not contain it",
			"miekg":                  "one package for messages of DNS is enough",
		})
	}
}

func refuse(t *testing.T, who string, imports []string, forbidden map[string]string) {
	t.Helper()
	for _, imp := range imports {
		for name, why := range forbidden {
			if strings.Contains(imp, name) {
				t.Errorf("%s: %s: %s", who, imp, why)
			}
		}
	}
}

// The guest's own packages stay small: no fmt, no msgpack, no reflection.
func TestGuestSideIsSmall(t *testing.T) {
	for _, p := range list(t, "./offload", "./offload/pack", "./hostfunc/nn") {
		for _, imp := range p.Imports {
			if slices.Contains([]string{"fmt", "reflect", "encoding/json"}, imp) || strings.Contains(imp, "msgpack") {
				t.Errorf("%s imports %s, which every guest would link", p.ImportPath, imp)
			}
		}
	}
}

// "make test" and so CI set BUNGEE_RACE: there the race detector must be on.
func TestRaceDetectorIsOn(t *testing.T) {
	if os.Getenv("BUNGEE_RACE") == "" {
		t.Skip(`only "make test" promises the race detector; run that`)
	}
	if !raceDetector {
		t.Error("the race detector is off")
	}
}
