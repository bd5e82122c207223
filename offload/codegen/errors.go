package codegen

import (
	"sync"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// Bounds of a tree of errors. What is beyond them is left out: the texts of the errors
// above say it all the same.
const (
	maxErrorDepth = 32
	maxErrors     = 128
)

// An errorType is how errors of one type cross.
type errorType struct {
	name   string
	append func(b []byte, err error) (after []byte, is bool)
	read   func(*pack.Reader) error
}

// errorTypes are those that cross with their fields.
var errorTypes struct {
	mu   sync.RWMutex
	list []errorType
}

// ErrorType lets errors of type E cross with what is in them, under a name that both
// sides use. If the name is known, it does nothing: two packages may use one type.
func ErrorType[E error](name string, appendE func([]byte, E) []byte, readE func(*pack.Reader) E) {
	errorTypes.mu.Lock()
	defer errorTypes.mu.Unlock()
	for _, t := range errorTypes.list {
		if t.name == name {
			return
		}
	}
	errorTypes.list = append(errorTypes.list, errorType{
		name: name,
		append: func(b []byte, err error) ([]byte, bool) {
			e, ok := err.(E)
			if ok {
				b = appendE(b, e)
			}
			return b, ok
		},
		read: func(r *pack.Reader) error { return readE(r) },
	})
}

// knownTypes returns the types that cross. Nothing is locked while their functions run.
func knownTypes() []errorType {
	errorTypes.mu.RLock()
	defer errorTypes.mu.RUnlock()
	return errorTypes.list
}

// Sentinel makes err keep its identity across the network under code, as
// [offload.RegisterError] does, unless it is nil or has another code.
func Sentinel(code string, err error) {
	if err == nil || abi.RegisteredError(code) != nil {
		return
	}
	if known, _ := abi.Identity(err); known == "" {
		abi.RegisterError(code, err)
	}
}

// AppendError appends err with all that it wraps, nil as nil. An error is an array:
//
//	text, code                             a registered error
//	text, "", type, fields as bin          one of a type that crosses
//	text, "", "", nil, codes, errors       any other: the codes it says it is, what it wraps
func AppendError(b []byte, err error) []byte {
	w := errorWriter{nodes: 1, text: abi.MaxText}
	return w.append(b, err, 0)
}

// An errorWriter bounds a tree of errors.
type errorWriter struct {
	nodes int // in the tree, with those that are still to be appended
	text  int // bytes of text that are left
}

func (w *errorWriter) append(b []byte, err error, depth int) []byte {
	if err == nil {
		return pack.AppendNil(b)
	}
	text := abi.ErrorText(err, w.text)
	w.text -= len(text)
	code, like := abi.Identity(err)
	if code != "" {
		return pack.AppendString(pack.AppendString(pack.AppendArray(b, 2), text), code)
	}
	if name, fields := errorFields(err); name != "" {
		b = pack.AppendString(pack.AppendString(pack.AppendArray(b, 4), text), "")
		return pack.AppendBytes(pack.AppendString(b, name), fields)
	}
	b = pack.AppendString(pack.AppendString(pack.AppendArray(b, 6), text), "")
	b = pack.AppendNil(pack.AppendString(b, ""))
	b = pack.AppendArray(b, len(like))
	for _, c := range like {
		b = pack.AppendString(b, c)
	}
	wrapped := unwrap(err)
	if depth >= maxErrorDepth {
		wrapped = nil
	}
	wrapped = wrapped[:min(len(wrapped), max(0, maxErrors-w.nodes))]
	w.nodes += len(wrapped)
	b = pack.AppendArray(b, len(wrapped))
	for _, e := range wrapped {
		b = w.append(b, e, depth+1)
	}
	return b
}

// errorFields returns the name of the type of err, if it crosses, and its fields.
func errorFields(err error) (name string, fields []byte) {
	for _, t := range knownTypes() {
		if fields, ok := t.append([]byte{}, err); ok {
			return t.name, fields
		}
	}
	return "", nil
}

// unwrap returns what err wraps.
func unwrap(err error) []error {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if w := e.Unwrap(); w != nil {
			return []error{w}
		}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}

// ReadError reads what [AppendError] appended. A registered error is that very error, and
// one of a type that crosses is of that type; others are an [offload.RemoteError].
func ReadError(r *pack.Reader) error {
	w := errorReader{}
	return w.read(r, 0)
}

// An errorReader counts the errors of a tree.
type errorReader struct{ nodes int }

func (e *errorReader) read(r *pack.Reader, depth int) error {
	if r.Nil() {
		return nil
	}
	if e.nodes++; e.nodes > maxErrors || depth > maxErrorDepth {
		r.Fail(abi.ErrReply)
		return nil
	}
	n := r.Array()
	if n < 2 {
		r.Fail(pack.ErrCount)
		return nil
	}
	remote := &offload.RemoteError{Text: abi.Clip(r.String(), abi.MaxText)}
	known := abi.RegisteredError(r.String())
	if n >= 4 {
		name, fields := r.String(), r.BytesRef()
		if err := readFields(r, name, fields); err != nil {
			known = err
		}
	}
	if n >= 6 {
		for range r.Array() {
			remote.Codes = append(remote.Codes, r.String())
		}
		remote.Err = e.causes(r, depth)
	}
	r.Skip(n - 6)
	switch {
	case r.Err() != nil:
		return nil
	case known != nil:
		return known
	}
	return remote
}

// causes reads what an error wraps.
func (e *errorReader) causes(r *pack.Reader, depth int) error {
	n := r.Array()
	if n > maxErrors {
		r.Fail(abi.ErrReply)
		return nil
	}
	var all causes
	for range n {
		if err := e.read(r, depth+1); err != nil {
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return all
}

// readFields returns the error of the type called name, nil if that is not known or has
// other fields.
func readFields(r *pack.Reader, name string, fields []byte) error {
	for _, t := range knownTypes() {
		if t.name != name || fields == nil || !r.Down() { // a field may be an error of such a type, too
			continue
		}
		defer r.Up()
		in := r.Inside(fields)
		err := t.read(&in)
		if in.Done() != nil {
			return nil
		}
		return err
	}
	return nil
}

// causes are several errors that one wraps.
type causes []error

func (c causes) Error() string {
	text := ""
	for i, e := range c {
		if i > 0 {
			text += "\n"
		}
		text += e.Error()
	}
	return text
}

func (c causes) Unwrap() []error { return c }
