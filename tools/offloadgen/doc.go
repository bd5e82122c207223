// Offloadgen makes marked functions elastic, and marked types the far ends of
// elastic channels.
//
// It reads the package in the current directory, or in the one it is given, and
// writes beside its sources the elastic version of each marked function, a
// function that opens a channel to each marked type, the codecs of what crosses,
// and a Wasm module with all of them. Install it and run it from the package's
// sources:
//
//	go get -tool github.com/bungee-xr/bungee/tools/offloadgen
//
//	//go:generate go tool offloadgen
//
// # Marked functions
//
// A line in the doc comment of a function marks it:
//
//	// detectObjects finds objects in frame.
//	//
//	//offload:func deadline=100ms idempotent
//	func detectObjects(ctx context.Context, frame Frame) ([]Box, error) { ... }
//
// Offloadgen writes DetectObjects, which has the same signature and runs
// detectObjects natively or on an edge host, as the application's offload
// handler decides at each call. With no handler it always runs natively, and
// then costs no allocation and no copy.
//
//	deadline=DURATION  bounds each call on an edge host
//	idempotent         the function may run again when it is not known whether it ran
//	redundancy=N       each call runs on N edge hosts, whose answers are compared to
//	                   the byte: 2 find a fault, 3 outvote it. The module must be
//	                   deterministic, and the UE's handler know as many hosts
//
// A marked function is a plain function with a lower-case name. Its first
// parameter is a context.Context and its last result an error. It may be in any
// package, package main included.
//
// # Marked types
//
// A line in the doc comment of a type marks it as the far end of elastic channels,
// with state:
//
//	// A tracker follows objects from frame to frame.
//	//
//	//offload:endpoint deadline=50ms idempotent
//	type tracker struct {
//		Tracks []Track
//		Next   int
//
//		scores []float32 // scratch memory
//	}
//
//	func (t *tracker) Handle(ctx context.Context, in []Box, emit func(Track) error) error { ... }
//
// Offloadgen writes OpenTracker, which opens a channel: its near end stays on the
// UE, its far end is a tracker, natively on the UE or in an instance of the module
// on an edge host, and moves from one to the other with its state. It has the
// options of a function: idempotent lets messages be handled again after a host
// was lost.
//
// Handle gets one message at a time. It emits zero, one or many values for it, and
// stops when emit fails; its error is the message's outcome, too. A Handle that
// always has one value may return it:
//
//	func (t *tracker) Handle(ctx context.Context, in []Box) ([]Track, error) { ... }
//
// The exported fields of the type are its state. They move, all others are zero
// after a move: a field with a lower-case name, as an embedded type may be, holds
// what can be had again, such as scratch memory. A new far end is the zero value.
//
// A message may be handled again from an earlier state, on another machine. So
// what Handle emits and leaves must depend on the state and the message alone: on
// no clock, no random number, no variable of the package, no order of a map, and
// on no lower-case field. On the UE, messages and emitted values are handed over as
// they are: a message is Handle's own, but what it has emitted it must not change,
// so it emits copies of those parts of its state that it will change.
//
// Floating-point numbers are the same everywhere, except that Go fuses x*y + z where
// the processor can, as on arm64, and not in a module: float64(x*y) + z rounds alike.
// Of package math, Sqrt, Floor and the like are exact; others, such as Hypot or Exp,
// may differ in the last bit.
//
// The marked type is a struct, exported or not, and not generic. Handle may be a
// method of the type, of a pointer to it, or of a type that it embeds.
//
// # What the module may use
//
// A module gets nothing from an edge host but the guest ABI, unless it asks and the
// tenant's policy grants it (docs/policy.md). All marks of a package are in one
// module, so what it may use is said once for all of them, by lines that may stand
// in any file of the package, at the beginning of a line:
//
//	//offload:module models=yolo-fastest-1.1 memory=128MiB
//	//offload:module connect=api.example.com:443 env=REGION
//
// Offloadgen writes what they say into the module, as its manifest, and into a comment
// of bungee_offload_module.go, so that a change shows in review. An option ends
// at a blank; the values of a list are divided by commas, and several lines add up.
//
//	models=NAME,...     networks that it runs (package nn); models=* alone: all that the tenant is granted
//	connect=ADDR,...    addresses host:port that it connects to (package egress); connect=* alone: as above
//	folders=NAME,...    folders that it opens, by the names that the policy gives them; NAME:write to write, too
//	env=NAME,...        environment variables that it reads; their values are the policy's
//	memory=SIZE         most linear memory of an instance, such as 64MiB
//	output=SIZE         most bytes of a result
//	fuel=NUMBER         most fuel of a call, on hosts that meter the tenant; others refuse the module
//	deadline=DURATION   longest that a call may run on an edge host, whatever its caller allows
//	class=NAME          criticality: best-effort, which is the default, or real-time; has no effect yet
//	deterministic       the same request gives the same bytes on every host
//
// The host modules that it imports from, such as wasi_ephemeral_nn, it asks for by
// importing them: offloadgen reads them from the module. A module that calls package nn
// or egress and has no models= or connect= is refused here, since a host would give
// it nothing.
//
// A Go guest asks for the real clock and for real random numbers, which the Go
// runtime reads. A deterministic one does not: its clock and its random numbers are
// made up and the same in each run, and NaNs have the same bits everywhere.
//
// # What crosses
//
// Parameters, results, messages, emitted values and states cross as msgpack, by generated code: bools, integers,
// floats, strings, slices, arrays, maps whose keys are strings, integers or
// bools, pointers, structs, time.Time, and named types of these. A pointer that is nil and
// a slice or map that is nil come back nil. Two pointers to one value come back
// as pointers to two. A time.Time comes back in UTC with its nanoseconds, for the
// years 1678 to 2261. Maps cross in the order of their keys, so that equal values
// are equal bytes.
//
// Structs of the package cross with all their fields, structs of other packages
// if all their fields are exported. Channels, functions, interfaces, complex
// numbers, addresses and types that contain themselves are refused.
//
// Natively a marked function gets its parameters as they are; on an edge host
// it gets copies. So it must not pass results back through its parameters.
//
// # What is in the module
//
// The module, or guest, is built for GOOS=wasip1 from a slice of the package: the
// declarations that the marked functions and types reach. The rest of the package
// need not build for Wasm, nor be buildable on this machine. The rules:
//
//   - Files count if they are built for GOOS=wasip1 without cgo. So a function can
//     have one version in a file for !wasip1 and another in a file *_wasip1.go.
//     So can a Handle.
//   - A group of constants is in as a whole.
//   - A type is in with its methods, since an interface may call them. A method
//     that does not build for Wasm is left out, unless something names it or it is
//     the Handle of a marked type.
//   - An init function is in if it calls offload.RegisterError. Other init
//     functions, and variables that nothing refers to, are not.
//   - Files that are built for wasip1 but not for Linux, macOS or Windows are in
//     as a whole, init functions included.
//   - Imports are in as far as they are used. A blank import is in if a function
//     of its file is, and it builds for Wasm.
//   - Assembly and C sources of the package are not in.
//
// Packages that the slice imports are in as they are, with their init functions.
// The compiler sees each declaration at its own file, line and column.
//
// The module's guest functions are the marked functions in the order of the
// sources, that is of the files' names and the lines, and behind them three for
// each marked type, likewise in order: handle a message, save the state, restore
// a state.
//
// # Files
//
//	bungee_offload.go         the elastic functions, the endpoints and the codecs
//	bungee_offload_module.go  the module's digest and what opens channels, for native builds
//	bungee_offload_wasip1.go  what registers the guest functions, for the module itself
//	bungee_offload.wasm.gz    the module
//
// They belong under version control. The first does not compile any more once a
// signature or a type has changed. The same sources give the same bytes on every
// machine with the same version of Go.
//
// When nothing has changed, a run takes some tens of milliseconds: the second
// file keeps digests of the inputs (the tool, the version of Go, go.mod, go.sum,
// the package and the packages of its module that the guest imports) and of the
// other three files.
//
// # Flags
//
//	-force  generate even if nothing has changed
//	-v      say what is done, and which methods are left out of the guest
//
// # Errors
//
// All that is wrong is shown in one run, each as file:line:col, what is wrong and
// the way out; nothing is written then. The exit status is 0, 1 for a failure and
// 2 for wrong usage.
//
// # Limits
//
// Marks of one package share one module, and so what it may use. A module of a small function is about
// 2.6 MB, 0.75 MB compressed, most of it Go's runtime.
package main
