package elastic

import "time"

// An inbox holds the results that wait for Recv.
type inbox[Out any] struct {
	ring[Result[Out]]
	window    int
	unbounded int       // moves and Shutdowns that let results exceed the window
	read      uint64    // the message of the last result that Recv gave
	roomy     time.Time // when there was room again where there had been none; Recv notes it where messages have a deadline
	arrived   gate      // a result has come, or the end
}

// full says that outcomes must wait until Recv is called.
func (i *inbox[Out]) full() bool { return i.len() >= i.window && i.unbounded == 0 }

// exceed lets results exceed the window, until unbounded counts down.
func (i *inbox[Out]) exceed() {
	if i.full() {
		i.roomy = time.Now()
	}
	i.unbounded++
}

// put adds the results of a message: r with each of outs, and with err.
func (i *inbox[Out]) put(r *Result[Out], outs []Out, err error) {
	for k := range outs {
		next := i.push()
		*next = *r
		next.Value = outs[k]
		r.Skipped = 0
	}
	if err != nil {
		next := i.push()
		*next = *r
		next.Err = err
	}
	i.arrived.open()
}

// dropOldest drops the results of the oldest message. The result after them counts the
// message as skipped, unless Recv has returned a part of its results; last does if none waits.
// It returns how many messages it dropped whole.
func (i *inbox[Out]) dropOldest(last *Result[Out]) (whole uint64) {
	gone, _ := i.pop()
	if gone.Seq != i.read {
		whole = 1
	}
	for i.len() > 0 && i.first().Seq == gone.Seq {
		i.pop()
	}
	if i.len() > 0 {
		last = i.first()
	}
	last.Skipped += gone.Skipped + whole
	return whole
}

// A batch is the values of an outcome between its decoding and its delivery.
type batch[Out any] struct {
	outs []Out
	err  error
}
