package writes

import (
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// A walk goes once through a function and its literals.
type walk struct {
	*Package
	s       *summary
	changed bool // something is known that was not
}

func (w *walk) function(f *ssa.Function) {
	for _, b := range f.Blocks {
		for _, instr := range b.Instrs {
			w.instr(instr)
		}
	}
	for _, inner := range f.AnonFuncs {
		w.function(inner)
	}
}

// set adds r to what v points to.
func (w *walk) set(v ssa.Value, r reach) {
	old := w.s.values[v]
	if next := old.with(r); next != old && Refers(v.Type()) {
		w.s.values[v], w.changed = next, true
	}
}

func (w *walk) of(v ssa.Value) reach { return w.s.values[v] }

// write enters that what m has is changed at pos.
func (w *walk) write(pos token.Pos, m mask) {
	if m&^w.s.written[pos] != 0 {
		w.s.written[pos] |= m
		w.changed = true
	}
}

// leading returns m without the parts of parameters by which nobody comes to what a map or
// a slice of type t refers to. Values of other types keep all.
func (w *walk) leading(m mask, t types.Type) mask {
	switch u := t.Underlying().(type) {
	case *types.Map:
	case *types.Slice:
		t = u.Elem()
	default:
		return m
	}
	for i, p := range w.s.fn.Params {
		if !leads(p.Type(), t, map[types.Type]bool{}) {
			m &^= bits(i).all()
		}
	}
	return m
}

// hold enters that val is stored in what addr points to.
func (w *walk) hold(addr ssa.Value, val reach) {
	for {
		w.set(addr, reach{deep: val.all()})
		switch a := addr.(type) {
		case *ssa.FieldAddr:
			addr = a.X
		case *ssa.IndexAddr:
			addr = a.X
		case *ssa.Slice:
			addr = a.X
		case *ssa.ChangeType:
			addr = a.X
		default:
			return
		}
	}
}

func (w *walk) instr(instr ssa.Instruction) {
	switch i := instr.(type) {
	case *ssa.Store:
		w.write(i.Pos(), w.of(i.Addr).near)
		if Refers(i.Val.Type()) {
			w.hold(i.Addr, w.of(i.Val))
		}
	case *ssa.MapUpdate:
		w.write(i.Pos(), w.leading(w.of(i.Map).near, i.Map.Type()))
		w.hold(i.Map, w.of(i.Value).with(w.of(i.Key)))
	case *ssa.Send:
		w.hold(i.Chan, w.of(i.X))
	case *ssa.Return:
		w.returns(i)
	case *ssa.MakeClosure:
		for n, b := range i.Bindings {
			inner := i.Fn.(*ssa.Function).FreeVars[n]
			w.set(inner, w.of(b))
			w.hold(b, reach{deep: w.of(inner).deep}) // what the literal stores there
		}
	case ssa.CallInstruction:
		w.call(i)
	case *ssa.Phi:
		for _, e := range i.Edges {
			w.set(i, w.of(e))
		}
	case ssa.Value:
		w.value(i)
	}
}

// returns enters the results of the function itself, not those of its literals.
func (w *walk) returns(r *ssa.Return) {
	if r.Parent() != w.s.fn {
		return
	}
	old := w.s.result
	for _, v := range r.Results {
		w.s.result = w.s.result.with(w.of(v))
	}
	w.changed = w.changed || w.s.result != old
}

// value enters what a value points to that is made of others.
func (w *walk) value(v ssa.Value) {
	switch i := v.(type) {
	case *ssa.UnOp:
		if i.Op == token.MUL || i.Op == token.ARROW {
			x := w.of(i.X)
			w.set(i, reach{x.deep, x.deep})
		}
	case *ssa.FieldAddr:
		w.set(i, w.of(i.X))
	case *ssa.IndexAddr:
		w.set(i, w.of(i.X))
	case *ssa.Slice:
		w.set(i, w.of(i.X))
	case *ssa.Field:
		w.set(i, w.of(i.X))
	case *ssa.Index:
		w.set(i, w.of(i.X))
	case *ssa.Lookup:
		x := w.of(i.X)
		w.set(i, reach{x.deep, x.deep})
	case *ssa.Range:
		w.set(i, w.of(i.X))
	case *ssa.Next:
		x := w.of(i.Iter)
		w.set(i, reach{x.deep, x.deep})
	case *ssa.Extract:
		w.set(i, w.of(i.Tuple))
	case *ssa.ChangeType:
		w.set(i, w.of(i.X))
	case *ssa.ChangeInterface:
		w.set(i, w.of(i.X))
	case *ssa.MakeInterface:
		w.set(i, w.of(i.X))
	case *ssa.TypeAssert:
		w.set(i, w.of(i.X))
	case *ssa.SliceToArrayPointer:
		w.set(i, w.of(i.X))
	case *ssa.Convert:
		if !isString(i.X.Type()) && !isString(i.Type()) { // those copy
			w.set(i, w.of(i.X))
		}
	}
}

func isString(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}

func (w *walk) call(i ssa.CallInstruction) {
	c := i.Common()
	result, _ := i.(ssa.Value)
	if b, ok := c.Value.(*ssa.Builtin); ok {
		w.builtin(i.Pos(), b.Name(), c.Args, result)
		return
	}
	callee := c.StaticCallee()
	switch {
	case c.IsInvoke():
		w.unknown(i.Pos(), c.Method, append([]ssa.Value{c.Value}, c.Args...), result)
	case callee == nil:
	case len(callee.Blocks) > 0 && callee.Parent() != nil:
		w.literal(callee, c.Args)
	case len(callee.Blocks) > 0:
		w.own(i.Pos(), callee, c.Args, result)
	default:
		if o := callee.Origin(); o != nil {
			callee = o
		}
		if fn, ok := callee.Object().(*types.Func); ok {
			w.unknown(i.Pos(), fn, c.Args, result)
		}
	}
}

// literal enters the arguments of a function literal, whose body is part of the walk.
func (w *walk) literal(f *ssa.Function, args []ssa.Value) {
	for n, a := range args {
		w.set(f.Params[n], w.of(a))
	}
}

// own enters what a function of the package does with its arguments.
func (w *walk) own(pos token.Pos, f *ssa.Function, args []ssa.Value, result ssa.Value) {
	s := w.summary(f)
	translate := func(m mask) (out mask) {
		for n, a := range args {
			if m&bits(n).near != 0 {
				out |= w.of(a).near
			}
			if m&bits(n).deep != 0 {
				out |= w.of(a).deep
			}
		}
		return out
	}
	for _, m := range s.written {
		for n, a := range args {
			if m&bits(n).near != 0 {
				w.write(pos, w.leading(w.of(a).near, a.Type()))
			}
			if m&bits(n).deep != 0 {
				w.write(pos, w.of(a).deep)
			}
		}
	}
	if result != nil {
		w.set(result, reach{translate(s.result.near), translate(s.result.deep)})
	}
}

// builtin enters what Go's own functions do.
func (w *walk) builtin(pos token.Pos, name string, args []ssa.Value, result ssa.Value) {
	switch name {
	case "copy":
		w.write(pos, w.of(args[0]).near)
		w.holdElements(args[0], args[1])
	case "delete", "clear", "close":
		w.write(pos, w.of(args[0]).near)
	case "append":
		if w.short(args[0], map[ssa.Value]bool{}) {
			w.write(pos, w.of(args[0]).near) // what follows in the same array
		}
		w.set(result, w.of(args[0]))
		if len(args) > 1 {
			w.holdElements(result, args[1])
		}
	}
}

// holdElements enters that elements of from are stored in to.
func (w *walk) holdElements(to, from ssa.Value) {
	if s, ok := from.Type().Underlying().(*types.Slice); ok && Refers(s.Elem()) {
		w.hold(to, reach{deep: w.of(from).deep})
	}
}

// unknown enters what a function of another package does, as far as its name tells.
func (w *walk) unknown(pos token.Pos, fn *types.Func, args []ssa.Value, result ssa.Value) {
	for _, n := range changed(fn) {
		if n < len(args) {
			w.write(pos, w.leading(w.of(args[n]).near, args[n].Type()))
		}
	}
	if n, ok := returned[fn.FullName()]; ok && result != nil && n < len(args) {
		w.set(result, w.of(args[n]))
	}
}

// short says whether v may be a slice whose array goes on behind it with what others see.
func (w *walk) short(v ssa.Value, seen map[ssa.Value]bool) bool {
	if seen[v] {
		return false
	}
	seen[v] = true
	switch i := v.(type) {
	case *ssa.Slice:
		return i.High != nil && i.Max == nil
	case *ssa.Phi:
		for _, e := range i.Edges {
			if w.short(e, seen) {
				return true
			}
		}
	case *ssa.Call:
		b, ok := i.Call.Value.(*ssa.Builtin)
		return ok && b.Name() == "append" && w.short(i.Call.Args[0], seen)
	}
	return false
}
