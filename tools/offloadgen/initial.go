package main

import (
	"cmp"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"sync"
)

// An initial is the part of the program's initialisation that the guest has: all of it
// but what provably changes nothing that the marks reach.
type initial struct {
	roots    map[ast.Node]string // init functions and variables, with what each may change
	blanks   []blank
	assembly []string // packages that have some natively
}

// A blank is a package that the guest imports for its initialisation alone.
type blank struct {
	path string
	pos  token.Pos // of the import that brings it
	why  string
}

// An initialiser finds them.
type initialiser struct {
	*initial
	g       goCmd
	own     string // import path of the package
	source  *source
	near    *nearby
	marks   []*decl
	doubts  []*decl // those which are in the guest unless nothing that it has is changed
	imports []*ast.ImportSpec
	wasm    map[string]*listed // nil: cannot be listed
	native  map[string]*listed
	reg     *registries
	uses    map[*decl]map[string]use
}

// findInitial finds what of the initialisation the guest has, and what it imports for that
// and for the marks.
func findInitial(g goCmd, own string, s *source, marks []*mark, names map[string]string, lines *directives) (_ *initial, need []string, err error) {
	i := &initialiser{
		initial: &initial{roots: map[ast.Node]string{}}, g: g, own: own, source: s, near: newNearby(s, names),
		wasm: map[string]*listed{}, native: map[string]*listed{}, uses: map[*decl]map[string]use{},
	}
	i.sort(marks, lines)
	if err := i.list(names); err != nil {
		return nil, nil, err
	}
	for {
		reach := i.near.from(i.marks...)
		need = reach.imports
		for _, b := range i.blanks {
			need = append(need, b.path)
		}
		linked, err := i.linked(need)
		if err != nil {
			return nil, nil, err
		}
		i.reg.find(linked)
		if !i.more(reach, linked) {
			return i.initial, append(need, reach.blanks...), nil
		}
	}
}

// sort sorts the package's declarations: roots in any case, and doubts.
func (i *initialiser) sort(marks []*mark, lines *directives) {
	for _, f := range i.source.files {
		if f.guest || f.implicit {
			for _, spec := range f.ast.Imports {
				if !lines.native[spec] && importPath(spec) != "C" && importPath(spec) != "unsafe" {
					i.imports = append(i.imports, spec)
				}
			}
		}
		if !f.guest {
			continue
		}
		for _, d := range i.near.of(f) {
			switch {
			case lines.native[d.node]:
			case d.root() || marked(marks, d):
				d.args = argsOf(marks, d)
				i.marks = append(i.marks, d)
			case d.initial() && calls(d.node):
				i.doubts = append(i.doubts, d)
			}
		}
	}
}

// list lists the packages that the program links natively, and those that the guest may.
func (i *initialiser) list(names map[string]string) (err error) {
	paths := map[string]bool{}
	for _, spec := range i.imports {
		paths[importPath(spec)] = true
	}
	i.reg = &registries{names: map[string]string{}, parsed: map[string]*source{}}
	if len(paths) == 0 {
		return nil
	}
	args := []string{"-deps"}
	for p := range paths {
		args = append(args, p)
	}
	slices.Sort(args[1:])
	var wg sync.WaitGroup
	var wasmErr error
	wg.Go(func() { wasmErr = i.add(args[1:]...) })
	i.reg.native, err = goCmd{dir: i.g.dir, on: onUE, tags: i.g.tags}.list(args...)
	wg.Wait()
	for _, p := range i.reg.native {
		i.native[p.ImportPath], i.reg.names[p.ImportPath] = p, p.Name
	}
	i.assembly = inAssembly(i.reg.native)
	return cmp.Or(err, wasmErr)
}

// add lists packages for Wasm, with what they import.
func (i *initialiser) add(paths ...string) error {
	all, err := i.g.list(append([]string{"-deps"}, paths...)...)
	for _, p := range all {
		i.wasm[p.ImportPath] = p
	}
	return err
}

// linked returns the packages that a guest links which imports need.
func (i *initialiser) linked(need []string) (map[string]bool, error) {
	need = append(need, offloadPath, codegenPath, packPath, guestPath)
	var unknown []string
	for _, p := range need {
		if i.wasm[p] == nil {
			unknown = append(unknown, p)
		}
	}
	if unknown != nil {
		if err := i.add(unknown...); err != nil {
			return nil, err
		}
	}
	linked := map[string]bool{}
	var visit func(p string)
	visit = func(p string) {
		if linked[p] {
			return
		}
		linked[p] = true
		if l := i.wasm[p]; l != nil {
			for _, next := range l.Imports {
				visit(next)
			}
		}
	}
	for _, p := range need {
		visit(p)
	}
	return linked, nil
}

// more finds what else the guest must have, beside what is reached and linked, and says
// whether there is any.
func (i *initialiser) more(reach *nearby, linked map[string]bool) (found bool) {
	if switchedOff["initial"] {
		i.doubts = nil
	}
	i.doubts = slices.DeleteFunc(i.doubts, func(d *decl) bool {
		why := i.why(d, reach)
		if why != "" {
			i.roots[d.node], i.marks = why, append(i.marks, d)
			found = found || !reach.kept[d] // which goes by spelling alone
		}
		return why != ""
	})
	for _, p := range i.reg.native {
		if what := i.reg.inits[p.ImportPath]; what != "" && !linked[p.ImportPath] && !switchedOff["blanks"] {
			found = i.bring(p.ImportPath, what) || found
		}
	}
	return found
}

// why says what d may change that the guest has, "" for nothing.
func (i *initialiser) why(d *decl, reach *nearby) string {
	from := i.near.from(d)
	for _, v := range reach.order {
		spec, ok := v.node.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for _, id := range spec.Names {
			for _, by := range from.order {
				_, variable := by.node.(*ast.ValueSpec)
				if i.use(by, id.Name) != reads && (by == d || !variable || !reach.kept[by]) {
					return "may change " + id.Name
				}
			}
		}
	}
	if what := i.reg.changed(from); what != "" {
		return "calls " + what
	}
	return ""
}

// use returns the most that d does with what is spelled name.
func (i *initialiser) use(d *decl, name string) use {
	if i.uses[d] == nil {
		i.uses[d] = namedUses(d)
	}
	return i.uses[d][name]
}

// bring has the guest import the package at to, which calls what when it is initialised: or,
// when it may not be imported, the nearest one that brings it.
func (i *initialiser) bring(to, what string) bool {
	for _, spec := range i.imports {
		way := i.way(importPath(spec), to)
		if way == nil {
			continue
		}
		for n := len(way) - 1; n >= 0; n-- {
			if !mayImport(i.own, way[n]) {
				continue
			}
			b := blank{way[n], spec.Pos(), strings.Join(way, " imports ") + ", which calls " + what + " when it is initialised"}
			if slices.ContainsFunc(i.blanks, func(have blank) bool { return have.path == b.path }) {
				return false
			}
			i.blanks = append(i.blanks, b)
			return true
		}
	}
	return false
}

// way returns the packages by which the one at from brings the one at to, both included.
func (i *initialiser) way(from, to string) []string {
	came := map[string]string{from: ""}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		if next[0] == to {
			var way []string
			for p := to; p != ""; p = came[p] {
				way = append(way, p)
			}
			slices.Reverse(way)
			return way
		}
		if p := i.native[next[0]]; p != nil {
			for _, imp := range p.Imports {
				if _, seen := came[imp]; !seen {
					came[imp] = next[0]
					next = append(next, imp)
				}
			}
		}
	}
	return nil
}

// mayImport says whether the package at own may import the one at p, which is not a program.
func mayImport(own, p string) bool {
	if strings.HasPrefix(p, "vendor/") {
		return false
	}
	parts := strings.Split(p, "/")
	for n := len(parts) - 1; n >= 0; n-- {
		if parts[n] == "internal" {
			parent := path.Join(parts[:n]...)
			return parent != "" && (own == parent || strings.HasPrefix(own, parent+"/"))
		}
	}
	return true
}

// calls says whether n calls anything but Go's own functions.
func calls(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			_, init := n.(*ast.AssignStmt)
			found = found || init
			return !found
		}
		switch f := call.Fun.(type) {
		case *ast.Ident:
			found = found || !plain[f.Name]
		case *ast.ArrayType, *ast.MapType, *ast.StarExpr:
		default:
			found = true
		}
		return !found
	})
	return found
}

// plain are Go's own functions and types that change nothing when they are called.
var plain = set([]string{
	"append", "cap", "complex", "imag", "len", "make", "max", "min", "new", "real",
	"bool", "byte", "complex64", "complex128", "float32", "float64", "int", "int8", "int16", "int32", "int64", "rune", "string",
	"uint", "uint8", "uint16", "uint32", "uint64", "uintptr",
})
