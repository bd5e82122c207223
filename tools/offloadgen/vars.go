package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// A change is a place where a variable changes once main has begun.
type change struct {
	by   *decl
	at   ast.Node
	kept bool // by the guest's own code
}

// changingVars complains of variables that the guest reads and that change once main has
// begun: by code that the guest has not, which an edge host would not see; or by its own
// code, which each instance does for itself.
func (s *slice) changingVars(bad *complaints) {
	running := s.running()
	found := map[types.Object][]change{}
	for _, d := range s.all {
		if !d.initial() && running[d] {
			s.changesIn(d, found)
		}
	}
	byName := map[string][]change{}
	for _, d := range s.native {
		if !d.initial() {
			for name, at := range outerChanges(d) {
				byName[name] = append(byName[name], change{d, at, false})
			}
		}
	}
	for _, d := range s.all {
		spec, ok := d.node.(*ast.ValueSpec)
		if !ok || !s.kept[d] || s.lines.fixed[spec] {
			continue
		}
		for _, id := range d.names {
			all := found[s.info.Defs[id]]
			if id.Name != "_" {
				all = append(all, byName[id.Name]...)
			}
			s.changing(d, id, all, bad)
		}
	}
}

// changing complains, or tells, of one variable.
func (s *slice) changing(d *decl, id *ast.Ident, all []change, bad *complaints) {
	name := id.Name
	if i := slices.IndexFunc(all, func(c change) bool { return !c.kept }); i >= 0 {
		c := all[i]
		if s.carried(d, name) {
			s.changesCarried(id, all, bad)
			return
		}
		bad.add(id.Pos(), "%s: %s changes it once the program runs (%s), and an edge host would go on with what it was before; make it a parameter, have it cross with each call by carry=%s in the marks that read it, or write //%s above it if it is set to the same everywhere before the first call", s.chain(d), s.caller(c.by), bad.show(s.fset.Position(c.at.Pos())), name, constantMark)
		return
	}
	told := ""
	for _, c := range all {
		at := bad.show(s.fset.Position(c.at.Pos()))
		for _, m := range s.marks {
			if !s.reaches(m, c.by) {
				continue
			}
			if strict := s.strict(m); strict != "" {
				bad.add(id.Pos(), "%s: %s changes %s (%s), of which each instance has its own, and %s; hold it in a parameter or a state, or write //%s above it if no result depends on its changes", m.name, c.by.label(), name, at, strict, constantMark)
				return
			}
			told = fmt.Sprintf("%s: %s changes %s (%s): natively all calls share it, and on an edge host the calls of one instance; if no result depends on that, write //%s above it", bad.show(s.fset.Position(id.Pos())), c.by.label(), name, at, constantMark)
		}
	}
	if told != "" {
		s.told = append(s.told, told)
	}
}

// changesCarried complains if the guest itself changes a variable that crosses with each call: that
// does not come back.
func (s *slice) changesCarried(id *ast.Ident, all []change, bad *complaints) {
	for _, c := range all {
		for _, m := range s.marks {
			if c.kept && s.reaches(m, c.by) {
				bad.add(id.Pos(), "%s: %s changes %s (%s), which crosses to an edge host by carry= and does not come back; return what it becomes", m.label(), c.by.label(), id.Name, bad.show(s.fset.Position(c.at.Pos())))
				return
			}
		}
	}
}

// strict says why m may have no variable that it changes, "" when it may.
func (s *slice) strict(m *mark) string {
	switch {
	case m.kind == endpointMark:
		return "a state that moves leaves it behind"
	case m.redundancy > 1:
		return "redundancy compares their answers"
	case s.ask != nil && s.ask.Deterministic:
		return "the module is marked deterministic"
	}
	return ""
}

// caller returns what d is called, and who may call it when it is exported.
func (s *slice) caller(d *decl) string {
	if d.recv == "" && ast.IsExported(d.names[0].Name) && s.types.Name() != "main" {
		return d.label() + ", which other packages may call,"
	}
	return d.label()
}

// reaches says whether what m marks reaches d.
func (s *slice) reaches(m *mark, d *decl) bool {
	if s.reached[m] == nil {
		seen := map[*decl]bool{}
		var visit func(d *decl)
		visit = func(d *decl) {
			if seen[d] {
				return
			}
			seen[d] = true
			for _, next := range s.refs[d] {
				visit(next)
			}
			if spec, ok := d.node.(*ast.TypeSpec); ok {
				for _, method := range s.methods[spec.Name.Name] {
					if s.kept[method] {
						visit(method)
					}
				}
			}
		}
		for _, d := range s.all {
			if d.node == m.decl {
				visit(d)
			}
		}
		s.reached[m] = seen
	}
	return s.reached[m][d]
}

// running returns the functions that may run once main has begun: all but those that only
// the initialisation calls.
func (s *slice) running() map[*decl]bool {
	seen := map[*decl]bool{}
	var visit func(d *decl)
	visit = func(d *decl) {
		if seen[d] {
			return
		}
		seen[d] = true
		next := s.refs[d]
		if d.initial() {
			next = s.handedOn(d)
		}
		for _, n := range next {
			visit(n)
		}
	}
	named := map[string]bool{}
	for _, d := range s.native {
		if !d.initial() {
			for name := range namedUses(d) {
				named[name] = true
			}
		}
	}
	for _, d := range s.all {
		_, fn := d.node.(*ast.FuncDecl)
		name := "_"
		if len(d.names) > 0 {
			name = d.names[0].Name
		}
		switch {
		case !fn || name == "init" && d.recv == "":
		case d.recv != "", name == "main", marked(s.marks, d), named[name], ast.IsExported(name) && s.types.Name() != "main":
			visit(d)
		}
	}
	return seen
}

// handedOn returns the functions that the initialisation of a variable mentions without
// calling them.
func (s *slice) handedOn(d *decl) (list []*decl) {
	walk(d.node, func(path []ast.Node) {
		id, ok := path[len(path)-1].(*ast.Ident)
		if !ok || calledIn(path) {
			return
		}
		if next := s.byObj[s.info.Uses[id]]; next != nil && next != d {
			list = append(list, next)
		}
	})
	return list
}

// changesIn adds the changes that d makes to variables of the package.
func (s *slice) changesIn(d *decl, found map[types.Object][]change) {
	walk(d.node, func(path []ast.Node) {
		id, ok := path[len(path)-1].(*ast.Ident)
		if !ok || declares(path) {
			return
		}
		v, ok := s.info.Uses[id].(*types.Var)
		if ok && v.Parent() == s.types.Scope() && s.changesVar(v, path) {
			found[v] = append(found[v], change{d, id, s.kept[d]})
		}
	})
}

// changesVar says whether the use of v at the end of path changes it.
func (s *slice) changesVar(v *types.Var, path []ast.Node) bool {
	switch useOf(path) {
	case reads:
		return false
	case aliases:
		return s.filled(path)
	}
	sel := methodOf(path)
	if sel == nil {
		return true
	}
	fn, ok := s.info.Uses[sel.Sel].(*types.Func)
	if !ok {
		return false // a function in a field
	}
	recv := fn.Signature().Recv()
	if recv == nil || types.IsInterface(recv.Type()) {
		return false
	}
	if _, pointer := recv.Type().Underlying().(*types.Pointer); !pointer {
		return false
	}
	if d := s.byObj[fn.Origin()]; d != nil {
		return changesReceiver(d)
	}
	return !harmless(fn) && !isPointer(v.Type())
}

func isPointer(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

// harmless says whether a method of a package of others changes nothing that results
// depend on.
func harmless(fn *types.Func) bool {
	name := fn.FullName()
	for _, t := range []string{"Mutex", "RWMutex", "Once", "Pool", "WaitGroup", "Cond"} {
		if strings.HasPrefix(name, "(*sync."+t+").") {
			return true
		}
	}
	switch fn.Name() {
	case "Load", "Range", "Len", "Cap", "String", "Bytes", "Error":
		return true
	}
	return false
}

// changesReceiver says whether a method changes its receiver itself.
func changesReceiver(d *decl) bool {
	fn, ok := d.node.(*ast.FuncDecl)
	if !ok || fn.Recv == nil || len(fn.Recv.List[0].Names) == 0 {
		return false
	}
	return namedUses(d)[fn.Recv.List[0].Names[0].Name] == changes
}

// filled says whether the variable at the end of path is an argument of a function of the
// package that changes what it is given.
func (s *slice) filled(path []ast.Node) bool {
	call, ok := outer(path, len(path)-2).(*ast.CallExpr)
	if !ok {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	if !ok {
		return false
	}
	d := s.byObj[s.info.Uses[id]]
	if d == nil {
		return false
	}
	fn, ok := d.node.(*ast.FuncDecl)
	if !ok {
		return false
	}
	names := spelled(fn.Type.Params)
	at := slices.Index(call.Args, path[len(path)-1].(ast.Expr))
	return at >= 0 && at < len(names) && namedUses(d)[names[at]] == changes && refersToOthers(s.info.Uses[path[len(path)-1].(*ast.Ident)].Type())
}

// spelled returns the name of each parameter, "_" for one without.
func spelled(list *ast.FieldList) (names []string) {
	for _, f := range list.List {
		if len(f.Names) == 0 {
			names = append(names, "_")
		}
		for _, id := range f.Names {
			names = append(names, id.Name)
		}
	}
	return names
}

// refersToOthers says whether a copy of a value of t shares memory with it.
func refersToOthers(t types.Type) bool {
	switch t.Underlying().(type) {
	case *types.Pointer, *types.Slice, *types.Map, *types.Chan:
		return true
	}
	return false
}

// methodOf returns the selector of the method that is called on the end of path, or on a
// part of it.
func methodOf(path []ast.Node) *ast.SelectorExpr {
	for i := len(path) - 2; i > 0; i-- {
		switch n := path[i].(type) {
		case *ast.SelectorExpr:
			if call, ok := path[i-1].(*ast.CallExpr); ok && call.Fun == n {
				return n
			}
		case *ast.IndexExpr, *ast.ParenExpr, *ast.StarExpr, *ast.SliceExpr:
		default:
			return nil
		}
	}
	return nil
}

// outerChanges returns the names that d, a function in a file that is not type-checked,
// changes and does not declare itself, with the places.
func outerChanges(d *decl) map[string]ast.Node {
	changed, own := map[string]ast.Node{}, map[string]bool{}
	walk(d.node, func(path []ast.Node) {
		id, ok := path[len(path)-1].(*ast.Ident)
		if !ok {
			return
		}
		if declares(path) {
			if _, sel := outer(path, len(path)-2).(*ast.SelectorExpr); !sel {
				own[id.Name] = true
			}
			return
		}
		switch p := path[len(path)-2].(type) {
		case *ast.AssignStmt:
			if p.Tok.String() == ":=" && slices.Contains(p.Lhs, ast.Expr(id)) {
				own[id.Name] = true
			}
		case *ast.RangeStmt:
			if p.Tok.String() == ":=" && (p.Key == id || p.Value == id) {
				own[id.Name] = true
			}
		}
		if useOf(path) == changes && methodOf(path) == nil && changed[id.Name] == nil {
			changed[id.Name] = id
		}
	})
	for name := range own {
		delete(changed, name)
	}
	return changed
}
