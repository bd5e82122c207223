package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// A slice is the part of the package that the guest is built from: what the
// marks reach.
type slice struct {
	*checked
	marks   []*mark
	ask     *ask
	all     []*decl
	byObj   map[types.Object]*decl
	methods map[string][]*decl     // by the name of their type
	elastic map[types.Object]*decl // what is marked, by its elastic version
	faults  map[*decl][]complaint
	refs    map[*decl][]*decl
	kept    map[*decl]bool
	from    map[*decl]*decl  // who made it kept
	why     map[*decl]string // of what is kept for the initialisation: what it does
	native  []*decl          // of files that UEs have and the guest has not
	reached map[*mark]map[*decl]bool
	stubs   map[*decl]string // methods that panic, with what
	told    []string         // what the developer is told at every generate
}

// cut returns the slice of the package. What the marks reach and cannot be
// built for Wasm is a complaint.
func cut(c *checked, marks []*mark, bad *complaints) *slice {
	s := &slice{
		checked: c, marks: marks,
		byObj: map[types.Object]*decl{}, methods: map[string][]*decl{}, elastic: map[types.Object]*decl{},
		faults: map[*decl][]complaint{}, refs: map[*decl][]*decl{},
		kept: map[*decl]bool{}, from: map[*decl]*decl{}, why: map[*decl]string{},
		reached: map[*mark]map[*decl]bool{}, stubs: map[*decl]string{},
	}
	s.index()
	s.indexElastic()
	for _, d := range s.all {
		s.refs[d] = s.references(d)
		s.faults[d] = append(s.faults[d], s.brokenImports(d)...)
	}
	s.ownErrors()
	for _, d := range s.all {
		if why := s.first.roots[d.node]; why != "" {
			s.why[d] = why
			s.keep(d, nil)
		} else if d.root() || marked(marks, d) {
			s.keep(d, nil)
		}
	}
	s.keepArguments(bad)
	s.keepHandles()
	s.keepMethods()
	s.complain(bad)
	return s
}

func (s *slice) index() {
	for _, f := range s.files {
		if !f.guest {
			if f.native {
				s.native = append(s.native, declarations(f)...)
			}
			continue
		}
		for _, d := range declarations(f) {
			s.all = append(s.all, d)
			if d.recv != "" {
				s.methods[d.recv] = append(s.methods[d.recv], d)
			}
			for _, id := range d.names {
				if o := s.info.Defs[id]; o != nil {
					s.byObj[o] = d
				}
			}
		}
	}
}

// references returns the package's own declarations that d refers to.
func (s *slice) references(d *decl) (refs []*decl) {
	s.uses(d, func(_ *ast.Ident, o types.Object) {
		switch x := o.(type) {
		case *types.Func:
			o = x.Origin()
		case *types.Var:
			o = x.Origin()
		}
		next := s.byObj[o]
		if next == nil {
			next = s.elastic[o]
		}
		if next != nil && next != d {
			refs = append(refs, next)
		}
	})
	return refs
}

// indexElastic finds the elastic functions: in a guest they call what is marked.
func (s *slice) indexElastic() {
	byNode := map[ast.Node]*decl{}
	for _, d := range s.all {
		byNode[d.node] = d
	}
	for _, m := range s.marks {
		o := s.types.Scope().Lookup(m.made())
		if t := s.types.Scope().Lookup(m.recv); t != nil {
			o, _, _ = types.LookupFieldOrMethod(types.NewPointer(t.Type()), false, s.types, m.made())
		}
		if d := byNode[m.decl]; m.kind == funcMark && o != nil && d != nil && s.byObj[o] == nil {
			s.elastic[o] = d
		}
	}
}

// uses calls f for each identifier in d that refers to something.
func (s *slice) uses(d *decl, f func(*ast.Ident, types.Object)) {
	ast.Inspect(d.node, func(n ast.Node) bool {
		if fn, ok := d.node.(*ast.FuncDecl); ok && n == fn.Body && s.stubs[d] != "" {
			return false
		}
		if id, ok := n.(*ast.Ident); ok {
			if o := s.info.Uses[id]; o != nil {
				f(id, o)
			}
		}
		return true
	})
}

// brokenImports returns a complaint for each package that d uses and that
// cannot be in a guest, at its first use.
func (s *slice) brokenImports(d *decl) (list []complaint) {
	seen := map[*types.PkgName]bool{}
	s.uses(d, func(id *ast.Ident, o types.Object) {
		name, ok := o.(*types.PkgName)
		if !ok || seen[name] {
			return
		}
		seen[name] = true
		if p := s.broken[name.Imported().Path()]; p != nil {
			list = append(list, complaint{s.fset.Position(id.Pos()), p.ImportPath + ", which does not build for Wasm (" + p.trouble() + ")"})
		}
	})
	return list
}

// ownErrors attaches type errors to the declarations they are in.
func (s *slice) ownErrors() {
	for _, e := range s.errs {
		if e.Soft {
			continue // unused variables and imports: go build says so
		}
		for _, d := range s.all {
			if d.node.Pos() <= e.Pos && e.Pos < d.node.End() {
				s.faults[d] = append(s.faults[d], complaint{s.fset.Position(e.Pos), e.Msg})
			}
		}
	}
}

// keep keeps d and all that it refers to.
func (s *slice) keep(d, from *decl) {
	if s.kept[d] {
		return
	}
	s.kept[d], s.from[d] = true, from
	for _, next := range s.refs[d] {
		s.keep(next, d)
	}
}

// keepHandles keeps the methods Handle of endpoints, even those that do not build
// for Wasm: those become complaints.
func (s *slice) keepHandles() {
	for _, m := range s.marks {
		if m.kind != endpointMark {
			continue
		}
		if handle := s.handle(m); handle != nil {
			if d := s.byObj[handle.Obj().(*types.Func).Origin()]; d != nil {
				s.keep(d, s.byObj[s.types.Scope().Lookup(m.name)])
			}
		}
	}
}

// handle returns the method Handle of an endpoint, nil when it has none.
func (s *slice) handle(m *mark) *types.Selection {
	obj := s.types.Scope().Lookup(m.name)
	if obj == nil {
		return nil // its file is of another package: the type check has said so
	}
	return types.NewMethodSet(types.NewPointer(obj.Type())).Lookup(s.types, "Handle")
}

// keepMethods keeps the methods of kept types, since an interface may call
// them, except those which do not build for Wasm.
func (s *slice) keepMethods() {
	tried := map[*decl]bool{}
	for again := true; again; {
		again = false
		for _, d := range s.all {
			spec, ok := d.node.(*ast.TypeSpec)
			if !ok || !s.kept[d] {
				continue
			}
			for _, m := range s.methods[spec.Name.Name] {
				if s.kept[m] || tried[m] {
					continue
				}
				tried[m], again = true, true
				s.tryMethod(m, d)
			}
		}
	}
}

func (s *slice) tryMethod(m, from *decl) {
	bad := s.firstFault(m, map[*decl]bool{})
	if bad == nil {
		s.keep(m, from)
		return
	}
	why := bad.text + " (" + showIn(s.dir, bad.pos) + ")"
	if !s.stub(m, from, why) {
		s.told = append(s.told, "method "+m.label()+" is not in the guest: "+why)
		return
	}
	s.told = append(s.told, "method "+m.label()+" panics in the guest: "+why)
}

// stub keeps a method without its body, if it can be declared without it.
func (s *slice) stub(m, from *decl, why string) bool {
	fn := m.node.(*ast.FuncDecl)
	if fn.Body == nil {
		return false
	}
	for _, c := range s.faults[m] {
		if c.pos.Offset < s.fset.Position(fn.Body.Pos()).Offset {
			return false
		}
	}
	s.stubs[m] = m.label() + " is not in the module: " + why
	s.faults[m], s.refs[m] = nil, s.references(m)
	for _, next := range s.refs[m] {
		if s.firstFault(next, map[*decl]bool{}) != nil {
			delete(s.stubs, m)
			return false
		}
	}
	s.keep(m, from)
	return true
}

// firstFault returns the first fault that d reaches outside of what is kept.
func (s *slice) firstFault(d *decl, seen map[*decl]bool) *complaint {
	if seen[d] || s.kept[d] {
		return nil
	}
	seen[d] = true
	if list := s.faults[d]; len(list) > 0 {
		return &list[0]
	}
	for _, next := range s.refs[d] {
		if c := s.firstFault(next, seen); c != nil {
			return c
		}
	}
	return nil
}

// complain of the faults in what is kept.
func (s *slice) complain(bad *complaints) {
	for _, b := range s.first.blanks {
		if p := s.broken[b.path]; p != nil {
			bad.add(b.pos, "%s: %s does not build for Wasm (%s); if no mark needs what it sets, write //%s REASON above the import", b.why, b.path, p.trouble(), nativeMark)
		}
	}
	for _, d := range s.all {
		if !s.kept[d] {
			continue
		}
		for _, c := range s.faults[d] {
			c.text = s.chain(d) + ": " + c.text + s.wayOut(d, c.text)
			bad.list = append(bad.list, c)
		}
		if fn, ok := d.node.(*ast.FuncDecl); ok && fn.Body == nil && !hasDirective(fn.Doc, "go:linkname", "go:wasmimport") {
			bad.add(fn.Pos(), "%s has no body: assembly cannot be in the guest; give a version in Go in a file *_wasip1.go", s.chain(d))
		}
	}
}

// wayOut says what to do about a fault in d.
func (s *slice) wayOut(d *decl, text string) string {
	for s.from[d] != nil {
		d = s.from[d]
	}
	switch {
	case s.why[d] != "":
		return "; take that out of " + d.label() + ", or, if no mark needs what it sets, write //" + nativeMark + " REASON above it"
	case strings.HasPrefix(text, "undefined: "):
		return "; the guest has the files that are built for GOOS=wasip1 without cgo: declare it in one of them"
	case strings.Contains(text, "which does not build for Wasm"):
		return "; take it out of what the marks reach, or give the function that uses it a version in a file *_wasip1.go"
	}
	return ""
}

// chain returns how the guest comes to d.
func (s *slice) chain(d *decl) string {
	var names []string
	for ; d != nil; d = s.from[d] {
		name := d.label()
		if why := s.why[d]; why != "" {
			name += ", which " + why + ","
		}
		names = append(names, name)
	}
	slices.Reverse(names)
	if len(names) == 1 {
		return names[0]
	}
	return names[0] + " reaches " + strings.Join(names[1:], ", ")
}

func hasDirective(g *ast.CommentGroup, names ...string) bool {
	if g == nil {
		return false
	}
	for _, c := range g.List {
		word, _, _ := strings.Cut(strings.TrimPrefix(c.Text, "//"), " ")
		if slices.Contains(names, word) {
			return true
		}
	}
	return false
}

// guestImports returns a file that imports what the guest has for its initialisation alone,
// "" for nothing.
func (s *slice) guestImports() string {
	var b strings.Builder
	for _, p := range s.first.blanks {
		fmt.Fprintf(&b, "import _ %q\n", p.path)
	}
	for _, d := range s.all {
		found := false
		if s.kept[d] {
			s.uses(d, func(_ *ast.Ident, o types.Object) {
				found = found || o.Pkg() != nil && o.Pkg().Path() == "time" && o.Name() == "LoadLocation"
			})
		}
		if found && !switchedOff["zones"] { // an edge host gives no files, and those of zones may differ
			b.WriteString("import _ \"time/tzdata\"\n")
			break
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "package " + s.types.Name() + "\n\n" + b.String()
}

// keeps says whether the guest has any declaration of f, or any function.
func (s *slice) keeps(f *file, function bool) bool {
	for _, d := range s.all {
		if _, fn := d.node.(*ast.FuncDecl); d.file == f && s.kept[d] && (fn || !function) {
			return true
		}
	}
	return false
}

// imports returns the import specifications of f that the guest needs.
func (s *slice) imports(f *file) map[*ast.ImportSpec]bool {
	used := map[types.Object]bool{}
	dotted := map[string]bool{}
	for _, d := range s.all {
		if d.file != f || !s.kept[d] {
			continue
		}
		s.uses(d, func(_ *ast.Ident, o types.Object) {
			used[o] = true
			if p := o.Pkg(); p != nil && o.Parent() == p.Scope() {
				dotted[p.Path()] = true
			}
		})
	}
	need := map[*ast.ImportSpec]bool{}
	for _, i := range f.ast.Imports {
		switch path := importPath(i); {
		case i.Name == nil:
			need[i] = used[s.info.Implicits[i]]
		case i.Name.Name == "_":
			need[i] = path == "embed" || s.broken[path] == nil && s.keeps(f, true)
		case i.Name.Name == ".":
			need[i] = dotted[path]
		default:
			need[i] = used[s.info.Defs[i.Name]]
		}
	}
	return need
}
