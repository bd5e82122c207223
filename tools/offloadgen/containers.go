package main

import (
	"fmt"
	"go/types"
	"strings"
)

func (c *codecs) slices(t types.Type, u *types.Slice, at place) *codec {
	pack, elem := c.std(packPath), types.Unalias(u.Elem())
	if kind, ok := elem.Underlying().(*types.Basic); ok && !c.foreign(elem, at) {
		switch {
		case kind.Kind() == types.Uint8:
			return c.generic(t, "AppendByteKinds", "ReadByteKinds", elem)
		case bulk[kind.Kind()]:
			return c.generic(t, "AppendNumbers", "ReadNumbers", elem)
		}
	}
	k := c.plan(u.Elem(), at.in("element of %s", c.show(t)))
	write := fmt.Sprintf("if v == nil {\nreturn %[1]s.AppendNil(b)\n}\nb = %[1]s.AppendArray(b, len(v))\nfor i := range v {\n%[2]s\n}\nreturn b\n", pack, k.write("v[i]"))
	read := fmt.Sprintf("if r.Nil() {\nreturn nil\n}\nv = make(%s, r.ArrayOf(%d))\nfor i := range v {\nv[i] = %s\n}\nreturn v\n",
		c.spell(t), k.min, k.read)
	return c.functions(t, 1, write, read)
}

// bulk are the kinds whose slices are copied as they are. Int and uint have not the same
// size everywhere, and like 64-bit integers are mostly small.
var bulk = map[types.BasicKind]bool{
	types.Int8: true, types.Int16: true, types.Int32: true, types.Uint16: true, types.Uint32: true, types.Float32: true, types.Float64: true,
}

// generic is the codec of a slice for which package pack has a generic pair of functions.
func (c *codecs) generic(t types.Type, write, read string, elem types.Type) *codec {
	pack := c.std(packPath)
	k := &codec{
		write: func(v string) string { return fmt.Sprintf("b = %s.%s(b, %s)", pack, write, v) },
		read:  fmt.Sprintf("%s.%s[%s](r)", pack, read, c.spell(elem)),
		min:   1,
	}
	if _, named := t.(*types.Named); !named {
		k.appendFunc, k.readFunc = fmt.Sprintf("%s.%s[%s]", pack, write, c.spell(elem)), fmt.Sprintf("%s.%s[%s]", pack, read, c.spell(elem))
	}
	return k
}

func (c *codecs) arrays(t types.Type, u *types.Array, at place) *codec {
	pack := c.std(packPath)
	if isByte(u.Elem()) {
		write := fmt.Sprintf("return %s.AppendBytes(b, v[:])\n", pack)
		read := fmt.Sprintf("if p := r.BytesRef(); copy(v[:], p) != len(v) || len(p) != len(v) {\nr.Fail(%s.ErrCount)\n}\nreturn v\n", pack)
		return c.functions(t, capped(1, u.Len()), write, read)
	}
	elem := c.plan(u.Elem(), at.in("element of %s", c.show(t)))
	if kind, ok := u.Elem().Underlying().(*types.Basic); ok && bulk[kind.Kind()] {
		write := fmt.Sprintf("return %s.AppendNumbers(b, v[:])\n", pack)
		read := fmt.Sprintf("%s.ReadNumbersInto(r, v[:])\nreturn v\n", pack)
		return c.functions(t, capped(1, u.Len()), write, read)
	}
	write := fmt.Sprintf("b = %s.AppendArray(b, len(v))\nfor i := range v {\n%s\n}\nreturn b\n", pack, elem.write("v[i]"))
	read := fmt.Sprintf("if !r.Tuple(len(v)) {\nreturn v\n}\nfor i := range v {\nv[i] = %s\n}\nreturn v\n", elem.read)
	return c.functions(t, capped(elem.min, u.Len()), write, read)
}

func (c *codecs) maps(t types.Type, u *types.Map, at place) *codec {
	key := types.Unalias(u.Key())
	if why := c.noKey(key, map[types.Type]bool{}); why != "" {
		return c.refuse(t, at, "has keys that are or have "+why, "pass a slice of pairs")
	}
	pack, keys := c.std(packPath), c.plan(key, at.in("key of %s", c.show(t)))
	elem := c.plan(u.Elem(), at.in("element of %s", c.show(t)))
	pair := keys.write("k") + "\n" + elem.write("v[k]") + "\n"
	basic, ok := key.Underlying().(*types.Basic)
	var loop string
	switch {
	case ok && basic.Info()&types.IsBoolean != 0:
		loop = fmt.Sprintf("for _, k := range [...]%s{false, true} {\nif _, ok := v[k]; ok {\n%s}\n}\n", c.spell(key), pair)
	case ok && basic.Info()&(types.IsString|types.IsInteger) != 0:
		loop = fmt.Sprintf("for _, k := range %s.Sorted(%s.Keys(v)) {\n%s}\n", c.std("slices"), c.std("maps"), pair)
	default: // by their bytes; a NaN is found by no look-up
		loop = fmt.Sprintf("pairs := make([]string, 0, len(v))\nfor k, e := range v {\np := b[len(b):]\nfunc(b []byte) {\n%s\n%s\np = b\n}(p)\npairs = append(pairs, string(p))\n}\nb = %s.AppendSorted(b, pairs)\n", keys.write("k"), elem.write("e"), pack)
	}
	write := fmt.Sprintf("if v == nil {\nreturn %[1]s.AppendNil(b)\n}\nb = %[1]s.AppendMap(b, len(v))\n%[2]sreturn b\n", pack, loop)
	read := fmt.Sprintf("if r.Nil() {\nreturn nil\n}\nn := r.Map()\nv = %s{}\nfor range n {\nk := %s\nv[k] = %s\n}\nreturn v\n",
		c.spell(t), keys.read, elem.read)
	return c.functions(t, 1, write, read)
}

// noKey says what of t is no key elsewhere, or nothing.
func (c *codecs) noKey(t types.Type, seen map[types.Type]bool) string {
	if seen[t] {
		return ""
	}
	seen[t] = true
	if hasMethods(t, "MarshalBinary", "UnmarshalBinary") || hasMethods(t, "MarshalText", "UnmarshalText") || hasMethods(t, "MarshalMsgpack", "UnmarshalMsgpack") {
		return "" // these make keys of their own
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return "pointers, which are other ones on another machine"
	case *types.Interface:
		return "interfaces"
	case *types.Array:
		return c.noKey(types.Unalias(u.Elem()), seen)
	case *types.Struct:
		for f := range u.Fields() {
			if why := c.noKey(types.Unalias(f.Type()), seen); why != "" {
				return why
			}
		}
	}
	return ""
}

func (c *codecs) pointers(t types.Type, u *types.Pointer, at place) *codec {
	elem, pack := c.plan(u.Elem(), at), c.std(packPath)
	before, after := "", ""
	if nilable(u.Elem()) { // an array of one: nil is for the pointer itself
		before = fmt.Sprintf("b = %s.AppendArray(b, 1)\n", pack)
		after = "if !r.Tuple(1) {\nreturn nil\n}\n"
	}
	write := fmt.Sprintf("if v == nil {\nreturn %s.AppendNil(b)\n}\n%s%s\nreturn b\n", pack, before, elem.write("*v"))
	read := fmt.Sprintf("if r.Nil() {\nreturn nil\n}\n%sv = new(%s)\n*v = %s\nreturn v\n", after, c.spell(u.Elem()), elem.read)
	return c.functions(t, 1, write, read)
}

// nilable says whether a value of t may be encoded as nil.
func nilable(t types.Type) bool {
	switch t.Underlying().(type) {
	case *types.Pointer, *types.Slice, *types.Map, *types.Interface:
		return true
	}
	return hasMethods(t, "MarshalMsgpack", "UnmarshalMsgpack")
}

// recursive says whether values of t may have values of t in them.
func recursive(t types.Type) bool { return reaches(t, t, map[types.Type]bool{}) }

func reaches(from, to types.Type, seen map[types.Type]bool) bool {
	next := func(t types.Type) bool {
		t = types.Unalias(t)
		if types.Identical(t, to) {
			return true
		}
		if seen[t] {
			return false
		}
		seen[t] = true
		return reaches(t, to, seen)
	}
	switch u := from.Underlying().(type) {
	case *types.Pointer:
		return next(u.Elem())
	case *types.Slice:
		return next(u.Elem())
	case *types.Array:
		return next(u.Elem())
	case *types.Map:
		return next(u.Key()) || next(u.Elem())
	case *types.Struct:
		for f := range u.Fields() {
			if next(f.Type()) {
				return true
			}
		}
	}
	return false
}

// arrayHeader returns the number of bytes of the header of an array of n.
func arrayHeader(n int) int {
	if n < 16 {
		return 1
	}
	return 3
}

// capped returns the least size of n elements of size each.
func capped(size int, n int64) int {
	if n >= maxMin/int64(size) {
		return maxMin
	}
	return size*int(n) + 1
}

func isTime(t types.Type) bool {
	n, ok := t.(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "time" && n.Obj().Name() == "Time"
}

// isByte says whether t is byte itself: a named type of it has its own slices.
func isByte(t types.Type) bool {
	b, ok := types.Unalias(t).(*types.Basic)
	return ok && b.Kind() == types.Byte
}

// deeper stands, in a statement that appends, for how deep the value is in others of its
// type. functions puts a number or a variable there.
const deeper = "\x00deeper\x00"

// depths fills in how deep values are that the function of t appends.
func depths(t types.Type, write string) string {
	if recursive(t) {
		return strings.ReplaceAll(write, deeper, "depth+1")
	}
	return strings.ReplaceAll(write, deeper, "0")
}
