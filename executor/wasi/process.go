package wasi

import (
	"strconv"

	"github.com/bungee-xr/bungee/executor"
)

// An ExitError says that a guest called proc_exit, as os.Exit, exit and a failed Go
// program do. The error of the call wraps it beside [executor.ErrTrap].
type ExitError struct {
	Code uint32
	// Fatal is what Go's runtime had said on standard error before, in a line that begins
	// with "fatal error: ", cut to 256 bytes; "" for nothing. It is the guest's to choose.
	Fatal string
}

// Error returns a text with the exit status, and why.
func (e *ExitError) Error() string {
	text := "guest exited with status " + strconv.FormatUint(uint64(e.Code), 10)
	if e.Fatal != "" {
		text += ": " + strconv.Quote(e.Fatal)
	}
	return text
}

// A list is arguments or an environment, as guests get them.
type list struct {
	text    []byte // each entry with a zero byte behind it
	offsets []uint32
}

func newList(entries []string) (l list) {
	for _, e := range entries {
		l.offsets = append(l.offsets, uint32(len(l.text)))
		l.text = append(append(l.text, e...), 0)
	}
	return l
}

// get writes the pointers to argument 0, and the text to argument 1.
func (l *list) get(c call) error {
	pointers, err := c.at(0, uint32(4*len(l.offsets)))
	if err != nil {
		return err
	}
	text, err := c.at(1, uint32(len(l.text)))
	if err != nil {
		return err
	}
	for i, o := range l.offsets {
		order.PutUint32(pointers[4*i:], c.i32(1)+o)
	}
	copy(text, l.text)
	return nil
}

// sizes writes how many entries and bytes of text there are.
func (l *list) sizes(c call) error {
	if err := c.put32(0, uint32(len(l.offsets))); err != nil {
		return err
	}
	return c.put32(1, uint32(len(l.text)))
}

func argsGet(in *instance, c call) error         { return in.world.args.get(c) }
func argsSizesGet(in *instance, c call) error    { return in.world.args.sizes(c) }
func environGet(in *instance, c call) error      { return in.world.env.get(c) }
func environSizesGet(in *instance, c call) error { return in.world.env.sizes(c) }

func procExit(in *instance, c call) error {
	err := &ExitError{Code: c.i32(0)}
	if s, ok := in.fds[2].(*stream); ok {
		err.Fatal = s.fatal
	}
	return trap{err}
}

// schedYield gives the core up where others wait for it.
func schedYield(_ *instance, c call) error {
	executor.Aside(c.ctx, func() {})
	return nil
}

// noSys answers for what the host has not.
func noSys(*instance, call) error { return eNoSys }

// notSup answers for what makes no sense on descriptor argument 0.
func notSup(in *instance, c call) error {
	if _, err := in.object(c.i32(0)); err != nil {
		return err
	}
	return eNotSup
}

// notSocket answers for functions of sockets: no descriptor is one.
func notSocket(in *instance, c call) error {
	if _, err := in.object(c.i32(0)); err != nil {
		return err
	}
	return eNotSocket
}
