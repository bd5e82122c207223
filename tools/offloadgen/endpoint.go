package main

import (
	"go/token"
	"go/types"
	"strings"
)

// handleForms says what a Handle looks like.
const handleForms = "Handle(ctx context.Context, in In, emit func(Out) error) error, or Handle(ctx context.Context, in In) (Out, error)"

// An endpoint is the far endpoint of elastic channels about to be written.
type endpoint struct {
	*mark
	typ               types.Type
	sig               *types.Signature // of Handle
	in, out           types.Type
	plain             bool // Handle returns its one value
	inCodec, outCodec *codec
	// The functions that append and read the state.
	appendState, readState string
}

// planEndpoint checks the type of m and its Handle, and plans the codecs of what
// it is sent, what it emits, and its state.
func planEndpoint(m *mark, s *slice, c *codecs, bad *complaints) *endpoint {
	obj, ok := s.types.Scope().Lookup(m.name).(*types.TypeName)
	if !ok {
		return nil // declared twice: the type check has said so
	}
	c.claim(m.made(), m, bad)
	c.claim(m.variable(), m, bad)
	state, ok := m.stateOf(obj, bad)
	handle := s.handle(m)
	if handle == nil && ok {
		bad.add(m.pos, "%s: it has no method Handle that is built for Wasm; give it %s", m.name, handleForms)
	}
	if handle == nil || !ok {
		return nil
	}
	e := &endpoint{mark: m, typ: obj.Type(), sig: handle.Type().(*types.Signature)}
	pos := handle.Obj().Pos()
	if handle.Obj().Pkg() != c.own {
		pos = m.pos // of a type that it embeds
	}
	out := e.takeApart()
	if out == nil {
		bad.add(pos, "%s: its Handle is func%s; give it %s", m.name, strings.TrimPrefix(c.show(e.sig), "func"), handleForms)
		return nil
	}
	e.inCodec = c.plan(e.in, place{pos: at(e.sig.Params().At(1), pos, c.own), path: m.name + ": message"})
	e.outCodec = c.plan(e.out, place{pos: at(out, pos, c.own), path: m.name + ": what it emits"})
	e.appendState, e.readState = c.state(m, obj.Type(), state)
	return e
}

// stateOf returns the struct whose exported fields are the state.
func (m *mark) stateOf(obj *types.TypeName, bad *complaints) (*types.Struct, bool) {
	switch u := obj.Type().Underlying().(type) {
	case *types.Struct:
		return u, true
	case *types.Interface:
		bad.add(m.pos, "%s: an interface cannot be an endpoint; mark a struct that implements it", m.name)
	default:
		if u != types.Typ[types.Invalid] {
			bad.add(m.pos, "%s: it is not a struct, and the state of an endpoint is the exported fields of one; declare type %[1]s struct { ... }", m.name)
		}
	}
	return nil, false
}

// takeApart finds what Handle is sent and what it emits. It returns the parameter
// or result that the latter is in, nil when the signature is of no known form.
func (e *endpoint) takeApart() *types.Var {
	p, r := e.sig.Params(), e.sig.Results()
	if e.sig.Variadic() || p.Len() < 2 || !isContext(p.At(0).Type()) || !endsInError(r) {
		return nil
	}
	e.in = p.At(1).Type()
	if p.Len() == 2 && r.Len() == 2 {
		e.plain, e.out = true, r.At(0).Type()
		return r.At(0)
	}
	if p.Len() != 3 || r.Len() != 1 {
		return nil
	}
	emit, ok := p.At(2).Type().Underlying().(*types.Signature)
	if !ok || emit.Variadic() || emit.Params().Len() != 1 || emit.Results().Len() != 1 || !endsInError(emit.Results()) {
		return nil
	}
	e.out = emit.Params().At(0).Type()
	return p.At(2)
}

func isContext(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "context" && n.Obj().Name() == "Context"
}

func endsInError(results *types.Tuple) bool {
	n := results.Len()
	return n > 0 && types.Identical(results.At(n-1).Type(), types.Universe.Lookup("error").Type())
}

// at returns where v is declared, or pos when that is in another package.
func at(v *types.Var, pos token.Pos, own *types.Package) token.Pos {
	if v.Pkg() != own {
		return pos
	}
	return v.Pos()
}

// comment returns the doc comment of the function that opens a channel.
func (e *endpoint) comment() string {
	first, rest, _ := strings.Cut(strings.TrimSpace(e.doc), "\n\n")
	head := e.made() + " opens an elastic channel to an endpoint of type " + e.name + ", which is on the UE at first."
	return comment(strings.TrimSpace(head+" "+strings.Join(strings.Fields(first), " ")), rest)
}
