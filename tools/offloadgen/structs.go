package main

import (
	"fmt"
	"go/types"
	"strings"
)

func (c *codecs) structs(t types.Type, u *types.Struct, at place) *codec {
	var fields []*types.Var
	for f := range u.Fields() {
		if !f.Exported() && f.Name() != "_" && f.Pkg() != c.own {
			return c.refuse(t, at, fmt.Sprintf("has a field %s which is not exported", f.Name()), wayOfStruct(t))
		}
		if f.Name() != "_" {
			fields = append(fields, f)
		}
	}
	write, read, least := c.fields(fields, func(f *types.Var) place { return at.in("field %s of %s", f.Name(), c.show(t)) })
	c.guard(t, u)
	return c.functions(t, max(1, least/shrinks), write+"return b\n", read+"return v\n")
}

// shrinks is by how much values in an array may be smaller than those of this struct are:
// the other side may have one with fewer fields. It bounds what a short input can ask for.
const shrinks = 4

// fields returns statements that append fields of v as an array, statements that
// read its elements, and the least size of it. Fields that the other side lacks stay zero,
// and those that it has more, at the end, are skipped.
func (c *codecs) fields(fields []*types.Var, at func(*types.Var) place) (write, read string, least int) {
	write = fmt.Sprintf("b = %s.AppendArray(b, %d)\n", c.std(packPath), len(fields))
	read = "n := r.Array()\n"
	least = arrayHeader(len(fields))
	if len(fields) == 0 {
		return write, "r.Skip(r.Array())\n", least
	}
	for i, f := range fields {
		k := c.plan(f.Type(), at(f))
		write += k.write("v."+f.Name()) + "\n"
		read += fmt.Sprintf("if n > %d {\nv.%s = %s\n}\n", i, f.Name(), k.read)
		least += k.min
	}
	return write, read + fmt.Sprintf("r.Skip(n - %d)\n", len(fields)), least
}

// state makes the functions that append and read the state of an endpoint of type
// t: its exported fields. The type may be one that is not to be copied.
func (c *codecs) state(m *mark, t types.Type, u *types.Struct) (appendFunc, readFunc string) {
	var fields []*types.Var
	for f := range u.Fields() {
		if f.Exported() {
			fields = append(fields, f)
		}
	}
	write, read, _ := c.fields(fields, func(f *types.Var) place {
		return place{f.Pos(), m.name + ": state " + f.Name(), ", or give the field a lower-case name: then it stays behind when the endpoint moves"}
	})
	c.guard(t, u)
	name, pack := typeName(t, c.own), c.std(packPath)
	appendFunc, readFunc = c.fresh("bungeeAppend"+name+"State"), c.fresh("bungeeRead"+name+"State")
	fmt.Fprintf(&c.text, "\nfunc %s(b []byte, v *%s) []byte {\n%sreturn b\n}\n", appendFunc, c.spell(t), strings.ReplaceAll(write, deeper, "0"))
	fmt.Fprintf(&c.text, "\nfunc %s(r *%s.Reader, v *%s) {\n*v = %[3]s{}\n%[4]s}\n", readFunc, pack, c.spell(t), read)
	return appendFunc, readFunc
}

// guard adds a declaration that fails once the fields of t have changed.
func (c *codecs) guard(t types.Type, u *types.Struct) {
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() == c.own && n.Obj().Parent() == nil {
		return // unnamed, or made by offloadgen: both are written out in the generated file
	}
	for f := range u.Fields() {
		if f.Name() == "_" && f.Pkg() != c.own {
			return // cannot be written down here
		}
	}
	c.guards = append(c.guards, fmt.Sprintf("_ = %s(%s{})", c.spellStruct(u), c.spell(t)))
}

// wayOfStruct says what to do with a struct that cannot be taken apart.
func wayOfStruct(t types.Type) string {
	if n, ok := t.(*types.Named); ok && n.Obj().Pkg() != nil {
		switch n.Obj().Pkg().Path() {
		case "sync", "sync/atomic":
			return "it guards memory of one machine: keep it in a variable or in a field of a type that does not cross"
		case "os", "net", "bufio":
			return "it stands for something on one machine: pass its bytes"
		}
	}
	return "pass a type of your own with the fields that matter, or give it the methods MarshalBinary and UnmarshalBinary"
}
