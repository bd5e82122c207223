package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bungee-xr/bungee/tools/offloadgen/internal/linked"
)

// vet finds what a whole program does that makes the marked functions of its packages
// answer otherwise than their modules: the packages cannot know who imports them.
func vet(app string, tags []string) error {
	dir, err := filepath.Abs(app)
	if err != nil {
		return err
	}
	v := &vetter{dir: dir, host: goCmd{dir: dir, on: []string{}, tags: tags}, decls: map[string]*source{}}
	if v.all, err = v.host.list("-deps", "."); err != nil {
		return err
	}
	if len(v.all) == 0 || v.all[len(v.all)-1].Name != "main" {
		return fmt.Errorf("%s has no program; give vet the folder of a main package", app)
	}
	for _, p := range v.all {
		if slices.Contains(p.GoFiles, moduleFile) {
			if err := v.module(p); err != nil {
				return err
			}
		}
	}
	if v.found == nil {
		return nil
	}
	slices.Sort(v.found)
	return errors.New(strings.Join(slices.Compact(v.found), "\n"))
}

// A vetter looks at one program.
type vetter struct {
	dir   string
	host  goCmd
	all   []*listed   // the program's packages, it last
	probe linked.Tree // what their initialisation reaches
	bare  linked.Tree // what that of any program does
	empty linked.Tree // what a guest without functions reaches
	decls map[string]*source
	found []string
}

func (v *vetter) complain(format string, args ...any) {
	v.found = append(v.found, fmt.Sprintf(format, args...))
}

// module looks at the marks of p.
func (v *vetter) module(p *listed) error {
	g := goCmd{dir: p.Dir}
	if st, ok := readStamp(p.Dir); ok {
		g.tags = st.tags
	}
	if p.local() && !current(g, p.Dir) {
		v.complain("%s: the generated files are not current; run: go generate", p.ImportPath)
		return nil
	}
	guest, s, err := v.guest(g, p.Dir)
	if err != nil {
		return fmt.Errorf("%s: %w", p.ImportPath, err)
	}
	if err := v.link(); err != nil {
		return err
	}
	in := map[string]bool{p.ImportPath: true}
	for _, d := range s.deps {
		in[d.ImportPath] = true
	}
	for _, symbol := range linked.Both(guest, v.probe, v.empty, v.bare) {
		pkg, name, ok := linked.Variable(symbol)
		if by := v.initialiser(symbol, in); ok && by != "" && v.changes(pkg, name) {
			v.complain("%s: its module reads %s, which the initialisation of %s changes (%s), and the module has not that; import _ %q there, too", p.ImportPath, symbol, by, strings.Join(tail(v.probe.Way(symbol)), " -> "), by)
		}
	}
	v.assigned(p, s, guest, in)
	return nil
}

func tail(way []string) []string { return way[max(0, len(way)-4):] }

// guest links the guest of the package in dir and returns what it reaches.
func (v *vetter) guest(g goCmd, dir string) (linked.Tree, *slice, error) {
	s, bad, err := slicePackage(g, dir)
	if err != nil {
		return nil, nil, err
	}
	e := plan(s, bad)
	if err := bad.err(); err != nil {
		return nil, nil, err
	}
	offload, err := e.offloadGo()
	if err != nil {
		return nil, nil, err
	}
	text, err := e.guestGo()
	if err != nil {
		return nil, nil, err
	}
	var dump bytes.Buffer
	g.said = &dump
	if _, err = buildGuest(g, s, map[string][]byte{offloadFile: offload, guestFile: text}, "-dumpdep"); err != nil {
		return nil, nil, err
	}
	t, err := linked.Read(&dump)
	return t, s, err
}

// link links the probes, once.
func (v *vetter) link() (err error) {
	if v.probe != nil {
		return nil
	}
	var imports strings.Builder
	for _, i := range v.all[len(v.all)-1].Imports {
		if i != "C" && i != "unsafe" {
			fmt.Fprintf(&imports, "import _ %q\n", i)
		}
	}
	if v.probe, err = v.dump(v.host, imports.String()); err != nil {
		return fmt.Errorf("the packages of the program do not link natively: %w", err)
	}
	if v.bare, err = v.dump(v.host, ""); err != nil {
		return err
	}
	v.empty, err = v.dump(goCmd{dir: v.dir}, fmt.Sprintf("import _ %q\n", guestPath))
	return err
}

// dump links a main package with those imports beside the program, and returns what it
// reaches.
func (v *vetter) dump(g goCmd, imports string) (linked.Tree, error) {
	tmp, err := os.MkdirTemp("", "offloadgen")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	o := &overlay{tmp, map[string]string{}}
	if err := o.put(filepath.Join(v.dir, guestMain, "main.go"), []byte("package main\n\n"+imports+"\nfunc main() {}\n")); err != nil {
		return nil, err
	}
	list, err := o.write()
	if err != nil {
		return nil, err
	}
	var dump bytes.Buffer
	g.said = &dump
	if _, err := g.run("build", "-overlay="+list, "-o", filepath.Join(tmp, "probe"), "-ldflags=-dumpdep", "./"+guestMain); err != nil {
		return nil, err
	}
	return linked.Read(&dump)
}

// initialiser returns the package outside of the guest by whose initialisation the linker
// came to the symbol, "" for none.
func (v *vetter) initialiser(symbol string, in map[string]bool) (by string) {
	for _, s := range v.probe.Way(symbol) {
		slash := strings.LastIndex(s, "/") + 1
		pkg, _, ok := strings.Cut(s[slash:], ".")
		if path := strings.ReplaceAll(s[:slash]+pkg, "%2e", "."); ok && !in[path] && !ourPackages.MatchString(path) && v.pkgAt(path) != nil {
			by = path
		}
	}
	return by
}

func (v *vetter) pkgAt(path string) *listed {
	for _, p := range v.all {
		if p.ImportPath == path {
			return p
		}
	}
	return nil
}

// changes says whether pkg changes its variable name once it is initialised. Of the
// standard library it counts those packages that have something to register.
func (v *vetter) changes(pkg, name string) bool {
	p := v.pkgAt(pkg)
	if p == nil || p.Standard && registrars[pkg] == nil || ourPackages.MatchString(pkg) {
		return false
	}
	variable, changed := false, false
	for _, f := range v.source(p).files {
		for _, d := range declarations(f) {
			if spec, ok := d.node.(*ast.ValueSpec); ok {
				for _, id := range d.names {
					variable = variable || id.Name == name && !locks(spec)
				}
			}
			changed = changed || !d.initial() && namedUses(d)[name] == changes
		}
	}
	return variable && changed
}

// locks says whether variables are of a type that holds nothing which results depend on.
func locks(spec *ast.ValueSpec) bool {
	sel, ok := spec.Type.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "sync" && sel.Sel.Name != "Map"
}

func (v *vetter) source(p *listed) *source {
	r := registries{parsed: v.decls}
	return r.parse(p)
}

// assigned complains of code that assigns, once the program runs, to a variable of another
// package that the guest reads.
func (v *vetter) assigned(marked *listed, slice *slice, guest linked.Tree, in map[string]bool) {
	names := map[string]string{}
	for _, p := range v.all {
		names[p.ImportPath] = p.Name
	}
	reads := func(i string) bool { return in[i] }
	for _, p := range v.all {
		if p.Standard || ourPackages.MatchString(p.ImportPath) || !slices.ContainsFunc(p.Imports, reads) {
			continue
		}
		s := v.source(p)
		for _, f := range s.files {
			for _, d := range declarations(f) {
				if d.initial() {
					continue
				}
				for sel, symbol := range assignedIn(d, names) {
					if _, linked := guest[symbol]; linked && !slice.crosses(symbol) && !slice.fixes(symbol) {
						v.complain("%s: %s", showIn(v.dir, s.fset.Position(sel.Pos())), assignment{Symbol: symbol, By: d.label()}.complaint(marked.ImportPath))
					}
				}
			}
		}
	}
}

// assignedIn returns the places where d changes a variable of another package, with the
// linker's names for it.
func assignedIn(d *decl, names map[string]string) map[*ast.SelectorExpr]string {
	imports := map[string]string{}
	for _, i := range d.file.ast.Imports {
		p := importPath(i)
		imports[localName(d.file, p, names[p])] = p
	}
	found := map[*ast.SelectorExpr]string{}
	walk(d.node, func(path []ast.Node) {
		sel, ok := path[len(path)-1].(*ast.SelectorExpr)
		if !ok || calledIn(path) || useOf(path) != changes || methodOf(path) != nil {
			return
		}
		if x, ok := sel.X.(*ast.Ident); ok && imports[x.Name] != "" {
			found[sel] = symbolOf(imports[x.Name], sel.Sel.Name)
		}
	})
	return found
}

// symbolOf returns the linker's name of a variable.
func symbolOf(pkg, name string) string {
	slash := strings.LastIndex(pkg, "/") + 1
	return pkg[:slash] + strings.ReplaceAll(pkg[slash:], ".", "%2e") + "." + name
}
