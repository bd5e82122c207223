package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// registrars are the functions and variables of the standard library by which one package
// changes what another finds there.
var registrars = map[string][]string{
	"archive/zip":        {"RegisterCompressor", "RegisterDecompressor"},
	"crypto":             {"RegisterHash"},
	"crypto/rand":        {"Reader"},
	"crypto/x509":        {"SetFallbackRoots"},
	"database/sql":       {"Register"},
	"encoding/gob":       {"Register", "RegisterName"},
	"expvar":             {"Publish", "NewInt", "NewFloat", "NewMap", "NewString"},
	"flag":               {"CommandLine", "Bool", "BoolFunc", "BoolVar", "Duration", "DurationVar", "Float64", "Float64Var", "Func", "Int", "Int64", "Int64Var", "IntVar", "Parse", "Set", "String", "StringVar", "TextVar", "Uint", "Uint64", "Uint64Var", "UintVar", "Var"},
	"image":              {"RegisterFormat"},
	"log":                {"SetFlags", "SetOutput", "SetPrefix", "Default"},
	"log/slog":           {"SetDefault", "SetLogLoggerLevel"},
	"math/rand":          {"Seed"},
	"mime":               {"AddExtensionType"},
	"net/http":           {"Handle", "HandleFunc", "DefaultServeMux", "DefaultClient", "DefaultTransport"},
	"os":                 {"Setenv", "Unsetenv", "Clearenv", "Chdir", "Args"},
	"time":               {"Local"},
	ourPath + "/offload": {"RegisterError"},
}

// registrarVars are those of registrars that are variables.
var registrarVars = map[string]bool{"crypto/rand.Reader": true, "flag.CommandLine": true, "net/http.DefaultServeMux": true, "net/http.DefaultClient": true, "net/http.DefaultTransport": true, "os.Args": true, "time.Local": true}

// ourPackages are those, which change nothing that a guest finds, but by [registrars].
var ourPackages = regexp.MustCompile("^" + ourPath + "/(offload|elastic|handler|hostfunc|executor|capability|internal)(/|$)")

// registries finds out which packages change, when they are initialised, what the guest
// finds in other packages. It goes by the spelling of names, and errs on the side of too many.
type registries struct {
	native []*listed                  // the program's packages, dependencies first
	linked map[string]bool            // those of the guest
	names  map[string]string          // package names by import path
	calls  map[string]map[string]bool // by package: what changes a package of the guest
	vars   map[string]bool            // those of calls that are variables, as package.name
	inits  map[string]string          // by package that is not in the guest: what its initialisation calls
	parsed map[string]*source
}

// find looks at all packages anew, for the guest that links those in linked.
func (r *registries) find(linked map[string]bool) {
	r.linked, r.calls, r.inits, r.vars = linked, map[string]map[string]bool{}, map[string]string{}, maps.Clone(registrarVars)
	for _, p := range r.native {
		if names := registrars[p.ImportPath]; linked[p.ImportPath] && names != nil {
			r.calls[p.ImportPath] = set(names)
		}
		if p.Standard && linked[p.ImportPath] || ourPackages.MatchString(p.ImportPath) {
			continue
		}
		if linked[p.ImportPath] || r.mentions(p) {
			r.look(p)
		}
	}
}

func set(names []string) map[string]bool {
	s := map[string]bool{}
	for _, n := range names {
		s[n] = true
	}
	return s
}

// mentions says whether p may call what changes a package of the guest.
func (r *registries) mentions(p *listed) bool {
	var names []string
	for _, i := range p.Imports {
		for n := range r.calls[i] {
			names = append(names, "."+n)
		}
	}
	if names == nil {
		return false
	}
	for _, f := range p.goFiles() {
		text, err := os.ReadFile(filepath.Join(p.Dir, f))
		for _, n := range names {
			if err == nil && bytes.Contains(text, []byte(n)) {
				return true
			}
		}
	}
	return false
}

// look finds what of p changes a package of the guest, p itself included.
func (r *registries) look(p *listed) {
	s := r.parse(p)
	near := newNearby(s, r.names)
	for _, f := range s.files {
		for _, d := range near.of(f) {
			if d.initial() && !r.linked[p.ImportPath] {
				if what := r.changed(near.from(d)); what != "" && r.inits[p.ImportPath] == "" {
					r.inits[p.ImportPath] = what
				}
			}
			if fn, ok := d.node.(*ast.FuncDecl); ok && (d.recv != "" || !fn.Name.IsExported()) {
				continue
			}
			r.exported(p, d, near)
		}
	}
}

// exported enters those names of d, a function or a variable of p, that change a package
// of the guest when others use them.
func (r *registries) exported(p *listed, d *decl, near *nearby) {
	enter := func(name string) {
		if r.calls[p.ImportPath] == nil {
			r.calls[p.ImportPath] = map[string]bool{}
		}
		r.calls[p.ImportPath][name] = true
	}
	switch n := d.node.(type) {
	case *ast.ValueSpec:
		for _, id := range n.Names {
			if r.linked[p.ImportPath] && id.IsExported() {
				enter(id.Name)
				r.vars[p.ImportPath+"."+id.Name] = true
			}
		}
	case *ast.FuncDecl:
		reach := near.from(d)
		if r.changed(reach) != "" || r.linked[p.ImportPath] && changesOwn(reach) {
			enter(n.Name.Name)
		}
	}
}

// changesOwn says whether the declarations change a variable that is among them.
func changesOwn(reach *nearby) bool {
	changed := map[string]bool{}
	for _, d := range reach.order {
		for name, u := range namedUses(d) {
			if u == changes && !d.initial() {
				changed[name] = true
			}
		}
	}
	for _, d := range reach.order {
		if spec, ok := d.node.(*ast.ValueSpec); ok && slices.ContainsFunc(spec.Names, func(id *ast.Ident) bool { return changed[id.Name] }) {
			return true
		}
	}
	return false
}

// changed returns what of another package the declarations call that changes a package of
// the guest, "" for nothing.
func (r *registries) changed(reach *nearby) (what string) {
	for _, d := range reach.order {
		locals := map[string]string{} // import paths
		for _, i := range d.file.ast.Imports {
			if p := importPath(i); r.calls[p] != nil {
				locals[localName(d.file, p, r.names[p])] = p
			}
		}
		walk(d.node, func(path []ast.Node) {
			sel, ok := path[len(path)-1].(*ast.SelectorExpr)
			if !ok {
				return
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok || !r.calls[locals[x.Name]][sel.Sel.Name] {
				return
			}
			name := x.Name + "." + sel.Sel.Name
			if (calledIn(path) || r.hands(locals[x.Name], sel.Sel.Name, path)) && (what == "" || name < what) {
				what = name
			}
		})
	}
	return what
}

// hands says whether the program changes the variable name of package pkg, or hands on the
// function of that name, which may be called then.
func (r *registries) hands(pkg, name string, path []ast.Node) bool {
	u := useOf(path)
	return u == changes || u == aliases && !r.vars[pkg+"."+name]
}

// calledIn says whether what is at the end of path is called.
func calledIn(path []ast.Node) bool {
	call, ok := outer(path, len(path)-2).(*ast.CallExpr)
	return ok && call.Fun == path[len(path)-1]
}

// parse returns the files of p. Those that do not parse count for nothing: the compiler
// says so.
func (r *registries) parse(p *listed) *source {
	if s := r.parsed[p.ImportPath]; s != nil {
		return s
	}
	s := &source{dir: p.Dir, fset: token.NewFileSet()}
	for _, name := range p.goFiles() {
		path := filepath.Join(p.Dir, name)
		if f, err := parser.ParseFile(s.fset, path, nil, parser.SkipObjectResolution); err == nil {
			s.files = append(s.files, &file{name: path, ast: f, guest: true})
		}
	}
	r.parsed[p.ImportPath] = s
	return s
}
