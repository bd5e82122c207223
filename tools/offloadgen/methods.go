package main

import (
	"fmt"
	"go/types"
)

// hasMethods says whether generated code can call methods of these names on a variable of
// type t, a named type: what encoding.BinaryMarshaler and its like are.
func hasMethods(t types.Type, names ...string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || types.IsInterface(n) {
		return false
	}
	set := types.NewMethodSet(types.NewPointer(n))
	for _, name := range names {
		m := set.Lookup(nil, name)
		if m == nil || !marshals(m.Type().(*types.Signature)) {
			return false
		}
	}
	return true
}

// marshals says whether s is func() ([]byte, error) or func([]byte) error.
func marshals(s *types.Signature) bool {
	if !endsInError(s.Results()) || s.Params().Len()+s.Results().Len() != 2 {
		return false
	}
	var other types.Type
	if s.Params().Len() == 1 {
		other = s.Params().At(0).Type()
	} else {
		other = s.Results().At(0).Type()
	}
	slice, ok := types.Unalias(other).(*types.Slice)
	return ok && isByte(slice.Elem())
}

// byMethods is the codec of a type by its own methods, nil when it is not to be used: those
// for msgpack always count, others where the type cannot be taken apart, since what they
// keep of a value is their own affair.
func (c *codecs) byMethods(t types.Type) *codec {
	for _, form := range []string{"Msgpack", "Binary", "Text"} {
		if !hasMethods(t, "Marshal"+form, "Unmarshal"+form) {
			continue
		}
		if form != "Msgpack" && c.crosses(t, map[types.Type]bool{}) {
			return nil
		}
		pack := c.std(packPath)
		write := fmt.Sprintf("return %s.AppendMarshal%s(b, &v)\n", pack, form)
		return c.functions(t, 1, write, fmt.Sprintf("%s.ReadUnmarshal%s(r, &v)\nreturn v\n", pack, form))
	}
	return nil
}

// crosses says whether t can be taken apart into what msgpack has, without its methods.
func (c *codecs) crosses(t types.Type, seen map[types.Type]bool) bool {
	t = types.Unalias(t)
	if seen[t] || isTime(t) {
		return true
	}
	seen[t] = true
	inside := func(t types.Type) bool { // in it, methods count
		return hasMethods(t, "MarshalMsgpack", "UnmarshalMsgpack") || hasMethods(t, "MarshalBinary", "UnmarshalBinary") ||
			hasMethods(t, "MarshalText", "UnmarshalText") || c.crosses(t, seen)
	}
	if n, ok := t.(*types.Named); ok && c.named(n.Obj()) == nil {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		_, ok := numbers[u.Kind()]
		return ok
	case *types.Slice:
		return inside(u.Elem())
	case *types.Array:
		return inside(u.Elem())
	case *types.Pointer:
		return inside(u.Elem())
	case *types.Map:
		return c.noKey(types.Unalias(u.Key()), map[types.Type]bool{}) == "" && inside(u.Key()) && inside(u.Elem())
	case *types.Struct:
		for f := range u.Fields() {
			if !f.Exported() && f.Name() != "_" && f.Pkg() != c.own || f.Name() != "_" && !inside(f.Type()) {
				return false
			}
		}
		return true
	}
	return isError(t)
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }
