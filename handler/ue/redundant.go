package ue

import (
	"context"
	"errors"

	"github.com/bungee-xr/bungee/offload"
)

// errTooFew says that a function is marked to run on more hosts than there are.
var errTooFew = errors.New("the function runs on more edge hosts than Config.Edge and Config.Others name")

// redundant returns what runs d on as many hosts as it is marked for, nil when that is
// one, or when there are too few. It has them made ready for d.
func (h *Handler) redundant(d *offload.Desc) *offload.Redundant {
	n := d.Redundancy - 1
	if n < 1 || n > len(h.others) || h.edge == nil {
		return nil
	}
	r := &offload.Redundant{Fars: []offload.Far{remote{h, h.edge}}, Report: h.dissent}
	for _, addr := range h.others[:n] {
		other := remote{h, h.edgeAt(addr)}
		other.ready(d)
		r.Fars = append(r.Fars, other)
	}
	return r
}

// whyNot returns why a call of d cannot be sent to all hosts that it is to run on.
func (f *function) whyNot(d *offload.Desc) error {
	switch {
	case d.Redundancy < 2:
		return nil
	case f.redundant == nil:
		return errTooFew
	}
	for _, far := range f.redundant.Fars {
		if err := far.(remote).ready(d); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) dissent(d offload.Dissent) {
	h.log.Error("edge hosts disagree on a result", "func", d.Func, "agreed", d.Agreed, "others", d.Others)
}

// Far returns the edge host at addr as a place of calls. It is connected, and given
// the function's module, from its first use on; calls before it is ready are not
// started.
func (h *Handler) Far(addr string) offload.Far { return remote{h, h.edgeAt(addr)} }

// A remote is an edge host by its address, whatever session there is.
type remote struct {
	h    *Handler
	edge *edge
}

// ready returns why a call of d cannot be sent, and has that mended.
func (r remote) ready(d *offload.Desc) error {
	why := r.edge.view.Load().serves(d.Module)
	if errors.Is(why, errConnecting) || errors.Is(why, errDeploying) {
		r.edge.want(d.Module)
		if err := r.h.begin(r.edge); err != nil {
			return err
		}
	}
	return why
}

// Call implements offload.Far.
func (r remote) Call(ctx context.Context, d *offload.Desc, request []byte) (*offload.Reply, error) {
	if why := r.ready(d); why != nil {
		return nil, &offload.CallError{Func: d.Name, Host: r.edge.addr, Fate: offload.NotStarted, Err: why}
	}
	f := far{r.edge, r.edge.view.Load().sess}
	return f.Call(ctx, d, request)
}
