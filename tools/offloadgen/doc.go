// Offloadgen makes marked functions elastic, and marked types the far endpoints of
// elastic channels.
//
// It reads the package in the current directory, or in the one it is given, and
// writes beside its sources the elastic version of each marked function, a
// function that opens a channel to each marked type, the codecs of all values that cross
// the network, and a Wasm module with all of them. Install it, and run it by a line in the
// package's sources:
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
//	redundancy=N       each call runs on N edge hosts, and their answers must be equal
//	                   to the byte: 2 find a fault, 3 outvote it. The module must be
//	                   deterministic, and the UE's handler must know N hosts
//	ulp=N              floating-point results may differ natively by N units in the last
//	                   place, for the generated test
//	inout=NAME,...     what these parameters refer to, slices, pointers and maps, the function
//	                   changes for its caller: the changes come back from an edge host, too.
//	                   A receiver is called by its name
//	unchanged=NAME     the function writes to what its parameter NAME refers to, and its
//	                   caller sees no change: offloadgen believes it, the generated test looks
//	carry=NAME,...     the values of these variables of the package cross with each call
//	for=TYPE,...       of a generic function: the types that this mark is for
//	name=NAME          the elastic function's name, in place of the marked one's with an
//	                   upper-case first letter
//
// A marked function may be in any package, package main included, and be a method of a type
// that crosses or of a pointer to one: the receiver crosses, too. It may be variadic. If it
// has a context.Context, that is its first parameter, and if it can fail, its last result is
// an error. The elastic function has both in any case, as calls can fail on the way:
//
//	//offload:func
//	func (m *Model) score(x []float32) float32 { ... }
//
//	func (m *Model) Score(ctx context.Context, x []float32) (float32, error) // generated
//
// A generic function has a mark for each instance that is elastic, with a type for each of its
// type parameters. A type is written as in the function's file, without blanks:
//
//	//offload:func for=int name=LargestInt
//	//offload:func for=geom.Metres name=LargestMetres
//	func largest[N number](list []N) N { ... }
//
// # Whole programs
//
// A package does not know who imports it. A program that imports image/png, too, or assigns to an
// exported variable of the package, has functions that answer otherwise natively. So
//
//	go tool offloadgen vet ./cmd/app
//
// takes the program in that folder, and looks at the marks of all its packages: whether their modules
// are current, whether a package that is in the program and not in a module changes, when it is
// initialised, a variable that the module reads, and whether code of the program assigns to one. The
// linker says which variables a module and an initialisation reach, so it compiles and
// links the program's packages, for this machine, without running anything. It reads no more than
// the standard library's registries of the variables there, and does not see what is changed by reflection or package unsafe.
//
// The assignments are found without linking, package by package and as part of go vet, by
//
//	go vet -vettool=$(go tool -n offloadgen) ./...
//
// which knows of a module the variables that its own package reads, in that package and in those that it imports,
// and nothing of initialisation.
//
// # Marked types
//
// A line in the doc comment of a type marks it as the far endpoint of elastic channels,
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
// Offloadgen writes OpenTracker, which opens a channel. The channel's near endpoint stays on
// the UE. Its far endpoint is a tracker, natively on the UE or in an instance of the module
// on an edge host, and moves from one to the other with its state. The mark has the
// options deadline and idempotent; the latter lets messages be handled again after a host
// is lost.
//
// Handle gets one message at a time. It emits zero, one or many values for it, and
// stops when emit fails; its error is part of the message's outcome. A Handle that
// always emits one value may return it instead:
//
//	func (t *tracker) Handle(ctx context.Context, in []Box) ([]Track, error) { ... }
//
// The exported fields of the type are its state, and move. All other fields are zero
// after a move: a field with a lower-case name, which an embedded type may have, too, is for
// values that can be made again, such as scratch memory. A new far endpoint is the zero
// value.
//
// A message may be handled again from an earlier state, on another machine. So
// what Handle emits, and the state after it, must depend on the earlier state and the
// message alone: on no clock, random number, variable of the package, order of a map, or
// lower-case field. On the UE, messages and emitted values are handed over without a
// copy. A message belongs to Handle. An emitted value does not: Handle must not change
// it, so it emits copies of those parts of its state that it will change.
//
// Floating-point numbers are the same everywhere, with one exception: Go fuses x*y + z
// natively on processors that can, such as arm64, and never in a module. float64(x*y) + z
// rounds the same everywhere.
// Of package math, Sqrt, Floor and the like are exact; others, such as Hypot or Exp,
// may differ in the last bit.
//
// The marked type is a struct, exported or not, and not generic. Handle may be a
// method of the type, of a pointer to it, or of a type that it embeds.
//
// # What the module may use
//
// A module gets nothing from an edge host but the guest ABI, unless it asks for it and the
// tenant's policy grants it (docs/policy.md). All marks of a package are in one
// module, so the package asks once for all of them, by comment lines in any of its files,
// at the beginning of a line:
//
//	//offload:module models=yolo-fastest-1.1 memory=128MiB
//	//offload:module connect=api.example.com:443 env=REGION
//
// Offloadgen writes what they say into the module, as its manifest, and into a comment
// of bungee_offload_module.go, so that a change shows in review. Blanks separate
// options, commas separate the values of a list, and several lines add up.
//
//	models=NAME,...     networks that it runs (package nn); models=* alone means all that the tenant is granted
//	connect=ADDR,...    addresses host:port that it connects to (package egress); connect=* alone means likewise
//	folders=NAME,...    folders that it opens, by their names in the policy; NAME:write to write, too
//	env=NAME,...        environment variables that it reads; their values are the policy's
//	memory=SIZE         most linear memory of an instance, such as 64MiB
//	output=SIZE         most bytes of a result
//	fuel=NUMBER         most fuel of a call, on hosts that meter the tenant; other hosts refuse the module
//	deadline=DURATION   longest time that a call may run on an edge host, whatever its caller allows
//	class=NAME          criticality: best-effort, which is the default, or real-time; has no effect yet
//	deterministic       the same request gives the same bytes on every host
//
// A module asks for host functions, such as those of wasi_ephemeral_nn, by importing them:
// offloadgen reads the imports from the module. It refuses a module that calls package nn
// or egress and has no models= or connect=, since a host would give it nothing.
//
// A guest written in Go asks for the real clock and for real random numbers, because the Go
// runtime reads both. A deterministic one does not: its clock and its random numbers are
// made up and the same in each run, and NaNs have the same bits everywhere.
//
// # What crosses
//
// Parameters, results, messages, emitted values and states cross the network as msgpack,
// by generated code: bools, integers, floats, strings, slices, arrays, maps, pointers,
// structs, time.Time, errors, and named types of these, types that contain themselves
// included. Nil pointers, slices and maps come back nil. Two pointers to one value come back
// as pointers to two values. A time.Time comes back in its zone, without its monotonic
// reading; where the other side has no tz database, its location has the one zone that it
// had at that time. Maps cross in the order of their keys, so that equal values
// are equal bytes.
//
// Structs of the package cross with all their fields, structs of other packages
// if all their fields are exported. Any other named type crosses if it has methods
// MarshalBinary and UnmarshalBinary, or MarshalText and UnmarshalText, and any type that
// has MarshalMsgpack and UnmarshalMsgpack, as these say. A value that its method cannot
// marshal, or that has itself in it, does not cross: the call runs on the UE, and fails if
// it is a result. Channels, functions, complex numbers, addresses and interfaces other than
// error are refused.
//
// The sides may have different versions of a struct: fields that were added at its end are
// zero where the other side lacks them, and are skipped where it has more.
//
// The bytes are those of github.com/vmihailenco/msgpack v5 with UseCompactInts and structs
// as arrays (msgpack:",as_array"), and readers take its other forms of numbers, too. Where
// that would lose something, ours differ:
//
//   - Fields with a lower-case name and fields with the tag msgpack:"-" cross. Embedded
//     structs are arrays within the array.
//   - A time that is not in UTC is an array of its timestamp, the names of location and
//     zone, and the offset. Both forms are read.
//   - 16 or more numbers of a fixed size in a slice or an array (8, 16 and 32 bits and
//     floats) are an extension with the numbers as they are in memory. Arrays are read, too.
//   - Types with methods MarshalBinary or MarshalText are taken apart if they can be.
//   - A pointer to a pointer, slice or map is an array of one, so that nil is the pointer's.
//
// # Errors across the network
//
// What a function returns beside an error crosses. Errors keep what they say, wrap and are:
// errors.Is and errors.As find the same in them on both sides, through wrapping and Join.
// The variables of type error, and the types of errors with all that is in them, are known
// that belong to the package itself or to a package that its guest names, those of io,
// strconv and context in any case; offload.RegisterError makes others known. An error of
// another type is an offload.RemoteError with its text and what it wraps. A function that
// panics gives an offload.CallError, on the UE as on an edge host.
//
// Natively a marked function gets its parameters themselves, on an edge host
// copies. So one that changes what a parameter refers to, such as a blur in place or a sort
// of the caller's slice, is refused where offloadgen sees it: in the package's own code, and
// where it calls functions of the standard library that are known to fill or sort what they get.
// The generated test finds the others, and so does any program that runs with BUNGEE_CHECK=1 in
// its environment: a native call that changes a parameter then fails, and the error names it.
//
// The way out is to return the result, or inout=NAME, which has it carried back:
//
//	//offload:func inout=dst
//	func blur(dst, src []byte, width int) error { ... }
//
// After a call on an edge host the elements of dst, in the caller's own array, are what the
// function made of them; of a pointer the value that it points to, of a map its entries. That
// holds with an error of the function's own, as natively. When the call fails otherwise, or the
// function panics there, nothing is written. A call with parameters that share memory, one of them
// inout, runs natively, as a module has a copy of each: Trace.Fallback says so, and the package's own
// calls that are seen to do so are refused. What the elements
// refer to in turn comes as new memory, and offloadgen tells so; the capacity of a slice
// does not cross. What inout= names crosses both ways: a buffer that is only written to costs less as a result.
//
// # Alike, or the tool says why not
//
// A call gives the same natively and on an edge host, or offloadgen refuses it, or tells of
// it at every generate. What it knows is the package and what the package imports:
//
//   - The guest is initialised as the program is. It has each init function, each variable,
//     also without a name or a reader, and each package imported for its initialisation alone
//     (of any file of the package, and by what such files import) that may change what the
//     guest has: a variable of the package, or what another package registers, such as the
//     formats of package image. What provably changes nothing is left out. What is needed and cannot be
//     built for Wasm is refused. A line above the init function, the variable or the import
//     answers for it:
//
//     //offload:native REASON
//
//   - A variable that the guest reads and that changes once main has begun is refused, since an edge
//     host would go on with what it was before. So is one that an exported function of a
//     library changes. A line above the variable says that it is set before the first
//     call, to the same everywhere:
//
//     //offload:constant
//
//     The other way out is carry=NAME in each mark that reads it: its value at the call
//     crosses behind the parameters, and is set in the instance before the function runs. Natively
//     the function reads the variable itself. The guest must not change it, and an
//     endpoint cannot have it: what it depends on is in its messages.
//
//   - A variable that marked code itself changes, such as a counter or a cache, differs
//     from instance to instance. Offloadgen tells so; for endpoints, redundancy and deterministic
//     modules it refuses, unless //offload:constant says that no result depends on it.
//
//   - A declaration that natively is another one, since its file is of another platform, is refused
//     unless the name or the build constraint of one of the two files speaks of wasip1 or wasm.
//
//   - A method of a type in the guest that does not build for Wasm panics there with
//     the reason, and is told.
//
//   - Zones are those of package time/tzdata when the package loads one.
//
//   - What the package's own code reads of its surroundings, such as the environment, files,
//     arguments or runtime.GOOS, is told, unless //offload:module asks for it.
//
//   - Packages that compute in assembly natively, and in Go in the module, are told, unless each mark has ulp=: their results may
//     differ in the last bits of floating-point numbers, or in which of several encodings they choose.
//
//   - Build tags are given to offloadgen: -tags. A native build with others, where they decide
//     what is in the module, does not compile, and its error says what to run.
//
// It goes by the spelling of names where it has no types, and keeps or refuses too much rather
// than too little. It does not see values that travel through functions in variables, through
// interfaces or by package unsafe. The order of maps, the timing of goroutines, and whether two results
// share memory are not promised to be alike. What is said of the package's own variables and platform
// files does not reach into the packages that it imports.
//
// # What is in the module
//
// The module, or guest, is built for GOOS=wasip1 from a slice of the package: the
// declarations that the marked functions and types reach. The rest of the package
// need not build for Wasm, nor be buildable on this machine. The rules:
//
//   - Only files that are built for GOOS=wasip1 without cgo count. So a function can
//     have one version in a file for !wasip1 and another in a file *_wasip1.go.
//     So can a Handle.
//   - The slice has a group of constants as a whole.
//   - It has a type with its methods, since an interface may call them. A
//     method that does not build for Wasm panics, unless something names the method or it is
//     the Handle of a marked type: then it is refused. It is left out when its signature does not build.
//   - It has init functions that call offload.RegisterError, and other initialisation as
//     said above.
//   - It has files that are built for wasip1 but not for Linux, macOS or Windows as a
//     whole, init functions included.
//   - It has the imports that are used, and a blank import if it builds for Wasm and the
//     slice has a function of its file.
//   - It has no assembly and no C sources.
//
// Packages that the slice imports are linked unchanged, with their init functions.
// The compiler sees each declaration at its own file, line and column.
//
// The module's guest functions are the marked functions in the order of the
// sources: by file name, then by line. After them come three for each marked type, in the
// same order: handle a message, save the state, restore a state.
//
// # Files
//
//	bungee_offload.go         the elastic functions, the endpoints and the codecs
//	bungee_offload_module.go  the module's digest and the functions that open channels, for native builds
//	bungee_offload_wasip1.go  the registration of the guest functions, for the module itself
//	bungee_offload.wasm.gz    the module
//	bungee_offload_test.go    the test that compares native functions with the module (package offloadtest)
//	bungee_offload_tag_*.go   what does not compile with other build tags
//
// The test is written where the module of the package can import offloadtest, which needs
//
//	go get github.com/bungee-xr/bungee/offload/offloadtest
//
// They belong under version control. When a signature or a type has changed, the first
// file does not compile until go generate has run. The same sources give the same bytes on
// every machine with the same version of Go; a module that is built from vendor/ lacks the sums of other
// modules that Go otherwise writes into it.
//
// A program with a folder vendor/ gets what generated code imports by
//
//	go get -tool github.com/bungee-xr/bungee/tools/offloadgen && go mod vendor
//
// When nothing has changed, a run takes some tens of milliseconds: the second
// file keeps digests of the inputs (the tool, the version of Go, go.mod, go.sum,
// the package, and the packages of its module that the guest imports) and of the
// other three files.
//
// # Flags
//
//	-check     generate nothing, and fail if the generated files are not current: for CI
//	-force     generate even if nothing has changed
//	-tags=...  the program's build tags, separated by commas; they belong into the line of go:generate
//	-v         print what is done
//
// # Errors
//
// One run prints all errors, each with file:line:col, what is wrong and the way out, and
// then writes nothing. The exit status is 0, 1 for a failure and 2 for wrong usage.
//
// # Limits
//
// All marks of a package share one module, and what that may use. The module of a small
// function has about 2.6 MB, 0.75 MB compressed; most of it is Go's runtime.
package main
