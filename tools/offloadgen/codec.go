package main

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"
)

// maxMin bounds the least size of a type's encoding: a larger bound serves nothing, and
// products must not overflow.
const maxMin = 1 << 20

// A codec is how values of one type are appended and read.
type codec struct {
	write func(v string) string // a statement that appends v to b
	read  string                // an expression that reads from r
	min   int                   // the least number of bytes of a value
	// The names of functions that do the same; empty if none do.
	appendFunc, readFunc string
}

// codecs makes the codecs of the types that cross.
type codecs struct {
	*speller
	bad    *complaints
	done   map[string]*codec // by type, nil while in progress
	text   strings.Builder   // the functions, in the order they are finished
	guards []string          // declarations that fail when a struct has changed
}

// A place is where in a signature or a state a type was found.
type place struct {
	pos  token.Pos
	path string
	way  string // another way out, for complaints
}

func (p place) in(format string, args ...any) place {
	p.path += ": " + fmt.Sprintf(format, args...)
	return p
}

// plan returns the codec of t. A type that cannot cross is a complaint.
func (c *codecs) plan(t types.Type, at place) *codec {
	t = types.Unalias(t)
	key := types.TypeString(t, nil)
	got, seen := c.done[key]
	switch {
	case got != nil:
		return got
	case seen:
		return c.refuse(t, at, "contains itself", "pass a slice whose elements refer to each other by index")
	}
	c.done[key] = nil
	before := len(c.bad.list)
	got = c.make(t, at)
	c.done[key] = got
	if len(c.bad.list) > before {
		delete(c.done, key) // so that each place it is in is complained of
	}
	return got
}

func (c *codecs) make(t types.Type, at place) *codec {
	if c.foreign(t, at) {
		return &codec{write: func(string) string { return "" }, min: 1}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return c.basic(t, u, at)
	case *types.Struct:
		if isTime(t) {
			return c.inline("Time", t)
		}
		return c.structs(t, u, at)
	case *types.Slice:
		if isByte(u.Elem()) {
			return c.inline("Bytes", t)
		}
		return c.slices(t, u, at)
	case *types.Array:
		return c.arrays(t, u, at)
	case *types.Map:
		return c.maps(t, u, at)
	case *types.Pointer:
		return c.pointers(t, u, at)
	case *types.Chan:
		return c.refuse(t, at, "is a channel", "pass values, one call each")
	case *types.Signature:
		return c.refuse(t, at, "is a function", "pass data that says what to do")
	case *types.Interface:
		if types.Identical(t, types.Universe.Lookup("error").Type()) {
			return c.refuse(t, at, "is an interface", "return it as the function's own error, or pass its text")
		}
		return c.refuse(t, at, "is an interface, and the other side does not know what is in it", "use a concrete type")
	}
	return c.refuse(t, at, "is of a kind that is not known", "use another type")
}

func (c *codecs) refuse(t types.Type, at place, why, way string) *codec {
	c.bad.add(at.pos, "%s: %s %s and cannot cross to an edge host; %s%s", at.path, c.show(t), why, way, at.way)
	return &codec{write: func(string) string { return "" }, min: 1}
}

// show returns t as people write it in this package.
func (c *codecs) show(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == c.own {
			return ""
		}
		return p.Name()
	})
}

// foreign complains of a named type that generated code cannot write down.
func (c *codecs) foreign(t types.Type, at place) bool {
	n, ok := t.(*types.Named)
	if !ok {
		return false
	}
	if c.named(n.Obj()) == nil {
		why, way := c.unnamed(n.Obj())
		c.refuse(t, at, why, way)
		return true
	}
	for a := range n.TypeArgs().Types() {
		if c.foreign(types.Unalias(a), at.in("type argument of %s", c.show(t))) {
			return true
		}
	}
	return false
}

// unnamed says why generated code cannot name o, and the way out.
func (c *codecs) unnamed(o *types.TypeName) (why, way string) {
	switch {
	case o.Parent() != nil && o.Parent() != o.Pkg().Scope():
		return "is declared in a function", "declare it at package level"
	case !o.Exported():
		return "is not exported by its package", "use a type of your own"
	}
	return "is of package " + o.Pkg().Path() + ", which this package must not import", "declare an alias of it in a package that may"
}

// inline is the codec of a type that package pack knows by name.
func (c *codecs) inline(name string, t types.Type) *codec {
	pack := c.std(packPath)
	k := &codec{
		write: func(v string) string { return fmt.Sprintf("b = %s.Append%s(b, %s)", pack, name, v) },
		read:  "r." + name + "()",
		min:   1,
	}
	if _, named := t.(*types.Named); !named || isTime(t) {
		k.appendFunc, k.readFunc = pack+".Append"+name, "(*"+pack+".Reader)."+name
	}
	return k
}

// A number says how pack reads and appends a basic kind.
type number struct {
	name string // of the method without bits
	wide string // the type that pack takes
	bits string // argument of the method with bits, empty for none
	min  int
}

var numbers = map[types.BasicKind]number{
	types.Bool: {"Bool", "bool", "", 1}, types.String: {"String", "string", "", 1},
	types.Int: {"Int", "int64", "0", 1}, types.Int8: {"Int", "int64", "8", 1}, types.Int16: {"Int", "int64", "16", 1},
	types.Int32: {"Int", "int64", "32", 1}, types.Int64: {"Int", "int64", "", 1},
	types.Uint: {"Uint", "uint64", "0", 1}, types.Uint8: {"Uint", "uint64", "8", 1}, types.Uint16: {"Uint", "uint64", "16", 1},
	types.Uint32: {"Uint", "uint64", "32", 1}, types.Uint64: {"Uint", "uint64", "", 1},
	types.Float32: {"Float32", "float32", "", 5}, types.Float64: {"Float64", "float64", "", 5},
}

func (c *codecs) basic(t types.Type, u *types.Basic, at place) *codec {
	n, ok := numbers[u.Kind()]
	switch {
	case u.Kind() == types.Invalid:
		return &codec{write: func(string) string { return "" }, min: 1} // the type check has said so
	case u.Info()&types.IsComplex != 0:
		return c.refuse(t, at, "is a complex number, which msgpack has not", "pass its real and its imaginary part")
	case !ok:
		return c.refuse(t, at, "is an address, which means nothing elsewhere", "pass the bytes it points to")
	}
	k := c.inline(n.name, t)
	k.min = n.min
	if n.bits != "" {
		k.read = fmt.Sprintf("r.%sN(%s)", n.name, n.bits)
	}
	text := c.spell(t)
	if text != n.wide {
		plain := k.write
		k.write = func(v string) string { return plain(n.wide + "(" + v + ")") }
		k.read = text + "(" + k.read + ")"
		k.appendFunc, k.readFunc = "", ""
	}
	return k
}

// functions is the codec of a type that has two functions of its own, whose
// bodies are write and read. least is the least size of a value.
func (c *codecs) functions(t types.Type, least int, write, read string) *codec {
	name := typeName(t, c.own)
	k := &codec{min: min(least, maxMin), appendFunc: c.fresh("bungeeAppend" + name), readFunc: c.fresh("bungeeRead" + name)}
	text := c.spell(t)
	fmt.Fprintf(&c.text, "\nfunc %s(b []byte, v %s) []byte {\n%s}\n", k.appendFunc, text, write)
	fmt.Fprintf(&c.text, "\nfunc %s(r *%s.Reader) (v %s) {\n%s}\n", k.readFunc, c.std(packPath), text, read)
	k.write = func(v string) string { return fmt.Sprintf("b = %s(b, %s)", k.appendFunc, v) }
	k.read = k.readFunc + "(r)"
	return k
}

func (c *codecs) structs(t types.Type, u *types.Struct, at place) *codec {
	var fields []*types.Var
	for f := range u.Fields() {
		if !f.Exported() && f.Name() != "_" && f.Pkg() != c.own {
			return c.refuse(t, at, fmt.Sprintf("has a field %s which is not exported", f.Name()), "pass its bytes, or a type of your own with the fields that matter")
		}
		if f.Name() != "_" {
			fields = append(fields, f)
		}
	}
	write, read, least := c.fields(fields, func(f *types.Var) place { return at.in("field %s of %s", f.Name(), c.show(t)) })
	c.guard(t, u)
	return c.functions(t, least, write+"return b\n", fmt.Sprintf("if !r.Tuple(%d) {\nreturn v\n}\n%sreturn v\n", len(fields), read))
}

// fields returns statements that append fields of v as an array, statements that
// read its elements, and the least size of it.
func (c *codecs) fields(fields []*types.Var, at func(*types.Var) place) (write, read string, least int) {
	write = fmt.Sprintf("b = %s.AppendArray(b, %d)\n", c.std(packPath), len(fields))
	least = arrayHeader(len(fields))
	for _, f := range fields {
		k := c.plan(f.Type(), at(f))
		write += k.write("v."+f.Name()) + "\n"
		read += fmt.Sprintf("v.%s = %s\n", f.Name(), k.read)
		least += k.min
	}
	return write, read, least
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
	fmt.Fprintf(&c.text, "\nfunc %s(b []byte, v *%s) []byte {\n%sreturn b\n}\n", appendFunc, c.spell(t), write)
	fmt.Fprintf(&c.text, "\nfunc %s(r *%s.Reader, v *%s) {\n*v = %[3]s{}\nif !r.Tuple(%d) {\nreturn\n}\n%s}\n", readFunc, pack, c.spell(t), len(fields), read)
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

func (c *codecs) slices(t types.Type, u *types.Slice, at place) *codec {
	pack, elem := c.std(packPath), c.plan(u.Elem(), at.in("element of %s", c.show(t)))
	write := fmt.Sprintf("if v == nil {\nreturn %[1]s.AppendNil(b)\n}\nb = %[1]s.AppendArray(b, len(v))\nfor i := range v {\n%[2]s\n}\nreturn b\n", pack, elem.write("v[i]"))
	read := fmt.Sprintf("if r.Nil() {\nreturn nil\n}\nv = make(%s, r.ArrayOf(%d))\nfor i := range v {\nv[i] = %s\n}\nreturn v\n",
		c.spell(t), elem.min, elem.read)
	return c.functions(t, 1, write, read)
}

func (c *codecs) arrays(t types.Type, u *types.Array, at place) *codec {
	pack := c.std(packPath)
	if isByte(u.Elem()) {
		write := fmt.Sprintf("return %s.AppendBytes(b, v[:])\n", pack)
		read := fmt.Sprintf("if p := r.BytesRef(); copy(v[:], p) != len(v) || len(p) != len(v) {\nr.Fail(%s.ErrCount)\n}\nreturn v\n", pack)
		return c.functions(t, capped(1, u.Len()), write, read)
	}
	elem := c.plan(u.Elem(), at.in("element of %s", c.show(t)))
	write := fmt.Sprintf("b = %s.AppendArray(b, len(v))\nfor i := range v {\n%s\n}\nreturn b\n", pack, elem.write("v[i]"))
	read := fmt.Sprintf("if !r.Tuple(len(v)) {\nreturn v\n}\nfor i := range v {\nv[i] = %s\n}\nreturn v\n", elem.read)
	return c.functions(t, capped(elem.min, u.Len()), write, read)
}

func (c *codecs) maps(t types.Type, u *types.Map, at place) *codec {
	key := types.Unalias(u.Key())
	b, ok := key.Underlying().(*types.Basic)
	if !ok || b.Info()&(types.IsString|types.IsInteger|types.IsBoolean) == 0 {
		return c.refuse(t, at, "has keys other than strings, integers or bools", "pass a slice of pairs")
	}
	pack, keys := c.std(packPath), c.plan(key, at.in("key of %s", c.show(t)))
	elem := c.plan(u.Elem(), at.in("element of %s", c.show(t)))
	pair := keys.write("k") + "\n" + elem.write("v[k]") + "\n"
	loop := fmt.Sprintf("for _, k := range %s.Sorted(%s.Keys(v)) {\n%s}\n", c.std("slices"), c.std("maps"), pair)
	if b.Info()&types.IsBoolean != 0 {
		loop = fmt.Sprintf("for _, k := range [...]%s{false, true} {\nif _, ok := v[k]; ok {\n%s}\n}\n", c.spell(key), pair)
	}
	write := fmt.Sprintf("if v == nil {\nreturn %[1]s.AppendNil(b)\n}\nb = %[1]s.AppendMap(b, len(v))\n%[2]sreturn b\n", pack, loop)
	read := fmt.Sprintf("if r.Nil() {\nreturn nil\n}\nn := r.Map()\nv = %s{}\nfor range n {\nk := %s\nv[k] = %s\n}\nreturn v\n",
		c.spell(t), keys.read, elem.read)
	return c.functions(t, 1, write, read)
}

func (c *codecs) pointers(t types.Type, u *types.Pointer, at place) *codec {
	switch e := u.Elem().Underlying().(type) {
	case *types.Pointer, *types.Map:
		return c.refuse(t, at, "points to what may be nil itself", "use "+c.show(u.Elem()))
	case *types.Slice:
		return c.refuse(t, at, "points to what may be nil itself", "use []"+c.show(e.Elem()))
	}
	elem := c.plan(u.Elem(), at)
	write := fmt.Sprintf("if v == nil {\nreturn %s.AppendNil(b)\n}\n%s\nreturn b\n", c.std(packPath), elem.write("*v"))
	read := fmt.Sprintf("if r.Nil() {\nreturn nil\n}\nv = new(%s)\n*v = %s\nreturn v\n", c.spell(u.Elem()), elem.read)
	return c.functions(t, 1, write, read)
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

// typeName returns a name for t that can be part of a function's name.
func typeName(t types.Type, own *types.Package) string {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		name := upper(t.Obj().Name())
		if p := t.Obj().Pkg(); p != nil && p != own {
			name = upper(p.Name()) + name
		}
		for a := range t.TypeArgs().Types() {
			name += typeName(a, own)
		}
		return name
	case *types.Slice:
		return typeName(t.Elem(), own) + "Slice"
	case *types.Array:
		return fmt.Sprintf("%sArray%d", typeName(t.Elem(), own), t.Len())
	case *types.Map:
		return typeName(t.Key(), own) + typeName(t.Elem(), own) + "Map"
	case *types.Pointer:
		return typeName(t.Elem(), own) + "Pointer"
	case *types.Basic:
		return upper(t.Name())
	}
	return "Struct"
}
