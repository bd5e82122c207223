package deps

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a UE application sees: the names of these packages, and with them the methods
// and fields of their types. Constants of one type count as one name.
const (
	mostNames   = 60
	mostMembers = 247 // names included; ten of them are what a Link says of a network, five choose its transport, 36 are for offload managers, three tell of errors and marks
)

func TestUEApplicationsSeeLittle(t *testing.T) {
	var all surface
	for _, dir := range []string{"offload", "elastic", "handler/ue"} {
		s := surfaceOf(t, dir)
		t.Logf("%s: %d names: %s; %d methods and fields: %s", dir, len(s.names), strings.Join(s.names, " "), len(s.members), strings.Join(s.members, " "))
		all.names = append(all.names, s.names...)
		all.members = append(all.members, s.members...)
	}
	names, members := len(all.names), len(all.names)+len(all.members)
	t.Logf("%d names, at most %d; with methods and fields %d, at most %d", names, mostNames, members, mostMembers)
	if names > mostNames || members > mostMembers {
		t.Errorf("offload, elastic and handler/ue have %d names, and %d with methods and fields; at most %d and %d: go test -v -run UEApplications ./internal/deps lists them",
			names, members, mostNames, mostMembers)
	}
}

// A surface is what a package exports.
type surface struct{ names, members []string }

// surfaceOf reads the package in dir, as applications on all systems have it.
func surfaceOf(t *testing.T, dir string) surface {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(paths), err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, ours+dir)
	if err != nil {
		t.Fatal(err)
	}
	var s surface
	s.values(p.Vars)
	s.values(p.Consts)
	s.funcs(p.Funcs)
	for _, typ := range p.Types {
		s.names = append(s.names, typ.Name)
		if len(typ.Consts) > 0 {
			s.names = append(s.names, typ.Name+"'s constants")
		}
		s.values(typ.Vars)
		s.funcs(typ.Funcs)
		for _, m := range typ.Methods {
			if m.Level == 0 {
				s.members = append(s.members, typ.Name+"."+m.Name)
			}
		}
		s.fields(typ)
	}
	return s
}

func (s *surface) values(all []*doc.Value) {
	for _, v := range all {
		s.names = append(s.names, slices.DeleteFunc(slices.Clone(v.Names), func(name string) bool { return !ast.IsExported(name) })...)
	}
}

func (s *surface) funcs(all []*doc.Func) {
	for _, f := range all {
		s.names = append(s.names, f.Name)
	}
}

// fields adds the exported fields of a struct, or the methods of an interface.
func (s *surface) fields(typ *doc.Type) {
	for _, spec := range typ.Decl.Specs {
		spec := spec.(*ast.TypeSpec)
		var list *ast.FieldList
		switch t := spec.Type.(type) {
		case *ast.StructType:
			list = t.Fields
		case *ast.InterfaceType:
			list = t.Methods
		}
		if spec.Name.Name != typ.Name || list == nil {
			continue
		}
		for _, f := range list.List {
			for _, name := range f.Names {
				if name.IsExported() {
					s.members = append(s.members, typ.Name+"."+name.Name)
				}
			}
		}
	}
}
