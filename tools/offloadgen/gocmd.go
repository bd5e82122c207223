package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A goCmd runs the go command for the guest's platform, or for a UE's.
type goCmd struct {
	dir  string
	on   []string // variables of the platform; nil: the guest's
	tags []string
	mod  string    // of -mod; empty: as the developer has it
	said io.Writer // gets what a command that succeeds writes to its standard error; nil: nobody
}

// Platforms. The UE's is the same on every machine, since what is found there shows in the module.
var (
	onGuest = []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}
	onUE    = []string{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1"}
)

// A listed package is what go list tells of one.
type listed struct {
	ImportPath string
	Name       string
	Dir        string
	Export     string // file with its export data
	Standard   bool
	Imports    []string
	GoFiles    []string
	CgoFiles   []string
	SFiles     []string
	EmbedFiles []string
	Module     *struct {
		Main      bool
		Version   string
		GoVersion string
		Replace   *struct{ Version string }
	}
	Error *struct{ Err string }
}

// local says whether the package's sources can change without go.mod or go.sum
// changing too.
func (p *listed) local() bool {
	switch {
	case p.Module == nil:
		return false
	case p.Module.Replace != nil:
		return p.Module.Replace.Version == ""
	}
	return p.Module.Version == ""
}

// goFiles returns the names of the package's Go files.
func (p *listed) goFiles() []string { return slices.Concat(p.GoFiles, p.CgoFiles) }

// trouble returns what is wrong with the package for Wasm, in one line.
func (p *listed) trouble() string {
	if p == nil || p.Error == nil {
		return "no reason given"
	}
	for line := range strings.Lines(p.Error.Err) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return strings.TrimSuffix(line, "; to add:") // what follows is a command; ours comes instead
		}
	}
	return p.Error.Err
}

// list runs go list with args. A broken package is listed with its error.
func (g goCmd) list(args ...string) (all []*listed, err error) {
	const fields = "-json=ImportPath,Name,Dir,Export,Standard,Imports,GoFiles,CgoFiles,SFiles,EmbedFiles,Module,Error"
	out, err := g.run(append([]string{"list", "-e", fields}, args...)...)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
}

// env returns the values of the go command's variables.
func (g goCmd) env(names ...string) ([]string, error) {
	out, err := g.run(append([]string{"env"}, names...)...)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"), nil
}

// A goError is a go command that failed, with what it printed.
type goError struct {
	args   []string
	stderr string
}

func (e *goError) Error() string {
	return "go " + e.args[0] + ": " + strings.TrimSpace(e.stderr)
}

func (g goCmd) run(args ...string) ([]byte, error) {
	var out, stderr bytes.Buffer
	if len(g.tags) > 0 && args[0] != "env" {
		args = slices.Insert(args, 1, "-tags="+strings.Join(g.tags, ","))
	}
	if g.mod != "" {
		args = slices.Insert(args, 1, "-mod="+g.mod)
	}
	cmd := exec.Command("go", args...)
	on := g.on
	if on == nil {
		on = onGuest
	}
	cmd.Dir, cmd.Env = g.dir, append(plainEnv(os.Environ()), on...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	var failed *exec.ExitError
	if err := cmd.Run(); errors.As(err, &failed) {
		return nil, &goError{args, stderr.String()}
	} else if err != nil {
		return nil, fmt.Errorf("the go command must be on the PATH: %w", err)
	}
	if g.said != nil {
		if _, err := io.Copy(g.said, &stderr); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// plainEnv returns env without what could make the module differ from machine to machine.
func plainEnv(env []string) (kept []string) {
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		switch name {
		case "GOWASM", "GOEXPERIMENT", "GOFIPS140", "GODEBUG", "PWD":
		case "GOFLAGS":
			kept = append(kept, name+"="+moduleFlags(value))
		default:
			kept = append(kept, e)
		}
	}
	return kept
}

// moduleFlags keeps of GOFLAGS what says where modules are: tags and the like
// are meant for the native build.
func moduleFlags(flags string) string {
	var kept []string
	for f := range strings.FieldsSeq(flags) {
		if strings.HasPrefix(strings.TrimLeft(f, "-"), "mod") {
			kept = append(kept, f)
		}
	}
	return strings.Join(kept, " ")
}
