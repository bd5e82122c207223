package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/abi"
)

// moduleMark marks a line that says what the package's module may use.
const moduleMark = "offload:module"

// An ask is what the package's module asks for: all lines of //offload:module
// together.
type ask struct {
	capability.Manifest
	pos  token.Pos       // of the first line; none for no line
	once map[string]bool // options that may stand once and do
	bad  *complaints
}

// findAsk returns what the lines of //offload:module ask for. They may be in any
// file of the package. The Go runtime reads the clock and random numbers, so the module
// asks for both unless it is marked deterministic.
func findAsk(s *source, bad *complaints) *ask {
	a := &ask{once: map[string]bool{}, bad: bad}
	for _, f := range s.files {
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				a.line(c)
			}
		}
	}
	a.Clock, a.Random = !a.Deterministic, !a.Deterministic
	return a
}

// line reads a comment that may be a line of //offload:module.
func (a *ask) line(c *ast.Comment) {
	text, ok := strings.CutPrefix(c.Text, "//")
	if !ok || a.bad.fset.Position(c.Pos()).Column != 1 {
		return
	}
	rest, ok := strings.CutPrefix(text, moduleMark)
	if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		if strings.HasPrefix(strings.TrimLeft(text, "/ \t"), moduleMark) {
			a.bad.add(c.Pos(), "%q is not a mark; write //%s, without a space before it and with one behind it", c.Text, moduleMark)
		}
		return
	}
	if !a.pos.IsValid() {
		a.pos = c.Pos()
	}
	right := a.Check() == nil
	for opt := range strings.FieldsSeq(rest) {
		if err := a.option(opt); err != nil {
			a.bad.add(c.Pos(), "%v", err)
		}
	}
	if err := a.Check(); err != nil && right {
		for line := range strings.Lines(err.Error()) {
			a.bad.add(c.Pos(), "%s", strings.TrimSpace(line))
		}
	}
}

// moduleOptions are those of //offload:module, for complaints.
const moduleOptions = "models=, connect=, folders=, env=, memory=, output=, fuel=, deadline=, class= and deterministic"

// option reads an option. Lists add up, anything else may stand once.
func (a *ask) option(opt string) (err error) {
	key, value, ok := strings.Cut(opt, "=")
	list := strings.Split(value, ",")
	switch {
	case opt == "deterministic":
		a.Deterministic = true
		return a.single(key)
	case !ok || value == "":
		return fmt.Errorf("unknown option %q, or one without a value; there are %s", opt, moduleOptions)
	}
	switch key {
	case "models":
		a.Models = append(a.Models, list...)
	case "connect":
		a.Connect = append(a.Connect, list...)
	case "env":
		a.Env = append(a.Env, list...)
	case "folders":
		for _, f := range list {
			name, write := strings.CutSuffix(f, ":write")
			a.Folders = append(a.Folders, capability.Folder{Name: name, Write: write})
		}
	default:
		if err := a.single(key); err != nil {
			return err
		}
		return a.number(key, value)
	}
	return nil
}

// number reads an option that is no list.
func (a *ask) number(key, value string) (err error) {
	var size capability.Size
	switch key {
	case "memory":
		err = size.UnmarshalText([]byte(value))
		a.Limits.Memory = int64(size)
	case "output":
		err = size.UnmarshalText([]byte(value))
		a.Limits.Output = int(size)
	case "fuel":
		if a.Limits.Fuel, err = strconv.ParseUint(value, 0, 64); err != nil {
			err = fmt.Errorf("%q is no amount of fuel; write a number such as 1_000_000", value)
		}
	case "deadline":
		if a.Limits.Deadline, err = time.ParseDuration(value); err != nil {
			err = fmt.Errorf("%q is no duration; write one such as 100ms", value)
		}
	case "class":
		a.Class = value
	default:
		return fmt.Errorf("unknown option %q; there are %s", key, moduleOptions)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (a *ask) single(key string) error {
	if a.once[key] {
		return fmt.Errorf("%s is there twice, and the package has one module; keep one", key)
	}
	a.once[key] = true
	return nil
}

// ownModules are the import modules whose host functions every guest gets.
var ownModules = []string{abi.Module, "wasi_snapshot_preview1"}

// granular are the import modules whose host functions give nothing without an option.
var granular = []struct{ module, option, example string }{
	{"wasi_ephemeral_nn", "models", "models=yolo-fastest-1.1, or models=* for those that it learns when it runs"},
	{"bungee_egress", "connect", "connect=api.example.com:443, or connect=* for all that the tenant is granted"},
}

// sign returns wasm with the manifest that a and the module's imports make.
func (a *ask) sign(wasm []byte, marks []*mark) (_ []byte, m capability.Manifest, err error) {
	imports, err := capability.Imports(wasm)
	if err != nil {
		return nil, m, err
	}
	m = a.Manifest
	m.Host = slices.DeleteFunc(imports, func(name string) bool { return slices.Contains(ownModules, name) })
	slices.Sort(m.Host)
	pos := a.pos
	if !pos.IsValid() {
		pos = marks[0].pos
	}
	bad := &complaints{fset: a.bad.fset, dir: a.bad.dir}
	for _, g := range granular {
		asked := map[string][]string{"models": m.Models, "connect": m.Connect}[g.option]
		if slices.Contains(m.Host, g.module) && len(asked) == 0 {
			bad.add(pos, "the module calls %s, which gives nothing to a module that does not say what of it; write //%s %s", g.module, moduleMark, g.example)
		}
	}
	if err := bad.err(); err != nil {
		return nil, m, err
	}
	wasm, err = capability.Append(wasm, m)
	return wasm, m, err
}
