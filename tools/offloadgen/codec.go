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
	names                [2]string // of the functions of a type that has its own
}

// codecs makes the codecs of the types that cross.
type codecs struct {
	*speller
	bad    *complaints
	done   map[string]*codec // by type, nil while in progress
	open   map[string]*codec // by type: of types in progress that were met again
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
		return c.again(t, key)
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

// again is the codec of a type that is in progress: of one that has itself in it.
func (c *codecs) again(t types.Type, key string) *codec {
	if c.open[key] == nil {
		c.open[key] = c.called(t, 1)
	}
	return c.open[key]
}

func (c *codecs) make(t types.Type, at place) *codec {
	if c.foreign(t, at) {
		return &codec{write: func(string) string { return "" }, min: 1}
	}
	if k := c.byMethods(t); k != nil {
		return k
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
		if isError(t) {
			codegen := c.std(codegenPath)
			return &codec{
				write: func(v string) string { return fmt.Sprintf("b = %s.AppendError(b, %s)", codegen, v) },
				read:  codegen + ".ReadError(r)", min: 1,
				appendFunc: codegen + ".AppendError", readFunc: codegen + ".ReadError",
			}
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

// called is the codec of a type that has two functions of its own.
func (c *codecs) called(t types.Type, least int) *codec {
	name := typeName(t, c.own)
	k := &codec{min: min(least, maxMin), appendFunc: c.fresh("bungeeAppend" + name), readFunc: c.fresh("bungeeRead" + name)}
	k.read = k.readFunc + "(r)"
	call, depth := k.appendFunc, ""
	if recursive(t) {
		depth, k.appendFunc, k.readFunc = ", "+deeper, "", ""
	}
	k.write = func(v string) string { return fmt.Sprintf("b = %s(b, %s%s)", call, v, depth) }
	k.names = [2]string{call, strings.TrimSuffix(k.read, "(r)")}
	return k
}

// functions is the codec of a type that has two functions of its own, whose
// bodies are write and read. least is the least size of a value.
func (c *codecs) functions(t types.Type, least int, write, read string) *codec {
	k := c.open[types.TypeString(t, nil)]
	if k == nil {
		k = c.called(t, least)
	}
	text, depth, pack := c.spell(t), "", c.std(packPath)
	write = depths(t, write)
	if recursive(t) {
		depth = ", depth int"
		write = fmt.Sprintf("if depth > %s.MaxDepth {\nreturn %[1]s.AppendNothing(b)\n}\n%s", pack, write)
		read = "if !r.Down() {\nreturn v\n}\ndefer r.Up()\n" + read
	}
	fmt.Fprintf(&c.text, "\nfunc %s(b []byte, v %s%s) []byte {\n%s}\n", k.names[0], text, depth, write)
	fmt.Fprintf(&c.text, "\nfunc %s(r *%s.Reader) (v %s) {\n%s}\n", k.names[1], pack, text, read)
	return k
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
