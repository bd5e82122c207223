package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A goCmd runs the go command for the guest's platform.
type goCmd struct{ dir string }

// A listed package is what go list tells of one.
type listed struct {
	ImportPath string
	Name       string
	Dir        string
	Export     string // file with its export data
	GoFiles    []string
	SFiles     []string
	EmbedFiles []string
	Module     *struct {
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

// trouble returns what is wrong with the package for Wasm, in one line.
func (p *listed) trouble() string {
	if p == nil || p.Error == nil {
		return "no reason given"
	}
	for line := range strings.Lines(p.Error.Err) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return p.Error.Err
}

// list runs go list with args. A broken package is listed with its error.
func (g goCmd) list(args ...string) (all []*listed, err error) {
	const fields = "-json=ImportPath,Name,Dir,Export,GoFiles,SFiles,EmbedFiles,Module,Error"
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
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = g.dir, guestEnv(os.Environ())
	cmd.Stdout, cmd.Stderr = &out, &stderr
	var failed *exec.ExitError
	if err := cmd.Run(); errors.As(err, &failed) {
		return nil, &goError{args, stderr.String()}
	} else if err != nil {
		return nil, fmt.Errorf("the go command must be on the PATH: %w", err)
	}
	return out.Bytes(), nil
}

// guestEnv returns env for the guest's platform. What could make the module
// differ from machine to machine is taken out.
func guestEnv(env []string) []string {
	var kept []string
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
	return append(kept, "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
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
