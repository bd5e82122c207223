// Package wasi is WASI preview 1 as host functions, for every engine.
//
// All functions of wasi_snapshot_preview1 are there, so that any module links. What
// they give is in a [Config]; the zero Config gives nothing of the host's.
//
//	w, err := wasi.Functions(wasi.Config{Clock: true, Log: log})
//	in, err := module.Instantiate(ctx, executor.InstanceConfig{Host: []executor.HostFuncs{w}})
//
// # No ambient clock or randomness
//
// Without [Config].Clock the time is made up: each instance begins at the same
// instant, each reading takes a microsecond, and a sleep advances the clock by what
// it asks for and returns at once. Files have no times. Without [Config].Random the
// random numbers are a stream of ChaCha8 that each instance begins anew from
// [Config].Seed: good for hash tables and simulations, and for no secret. So two
// instances that are called alike find the same, on each engine and machine (paper
// 003); the order of a Go guest's maps comes from here, too.
//
// Not made up is what is in the folders that a guest is granted: the bytes, the
// numbers by which files are told apart, and what others do there at the same time.
// A list of a folder has the order of its names. Nor is module bungee part of this:
// its clock is the host's, unless the module's manifest says that it is deterministic.
//
// # Sleep
//
// A sleep ends with its call. At the deadline the guest traps; when the call is
// cancelled the sleep is over early, and the guest has a moment to see why. It gives
// its turn on a core to others meanwhile. sched_yield does so, too.
//
// # Files
//
// A guest sees regular files and folders below the folders it is given. No path leads
// out: no "..", no link, no absolute one. Pipes and devices are not opened. In a
// folder without Write each change answers EROFS. A guest may have 64 files open,
// moves at most 1 MiB a call, and can list folders of up to 16,384 names. How much it
// writes is bounded by the disk alone: give it one with a quota. A disk that hangs
// holds a call past its deadline. Between two open folders a file is moved by copying
// it (EXDEV).
//
// # Output
//
// Standard output and error go to [Config].Log by lines of at most 4 KiB; a longer one
// is cut in several. What follows the last line's end is logged when the instance is
// closed. How many lines there are is not bounded, as with bungee.log. Standard input
// is empty.
//
// # What is refused
//
// Sockets: package egress is for that. Signals, fd_allocate, fd_fdstat_set_rights,
// clocks of processor time, and a change of how an open file is written. proc_exit
// ends the instance: the call's error is an ErrTrap that holds an [*ExitError].
package wasi

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bungee-xr/bungee/executor"
)

// Name is the name of the module that guests import.
const Name = "wasi_snapshot_preview1"

// Config says what a guest finds. The zero Config gives it a made-up clock,
// made-up random numbers, and nothing else.
type Config struct {
	// Args are the program's arguments, its name first.
	Args []string
	// Env is its environment, which it gets in the order of names.
	Env map[string]string
	// Folders are what it can open.
	Folders []Folder
	// Clock gives it the real clocks: the wall clock, and a monotonic one that
	// began with the instance.
	Clock bool
	// Random gives it the system's random numbers.
	Random bool
	// Seed is what made-up random numbers begin from. Zero is as good as any.
	Seed [32]byte
	// Log receives lines of standard output and error, on the goroutine that
	// uses the instance. Nil discards them.
	Log func(line string)
}

// A Folder is a folder of the host that a guest can open.
type Folder struct {
	// Name is the folder's path for the guest. One that does not begin with a
	// slash gets it: "maps" is /maps.
	Name string
	// Path is the folder's path on the host.
	Path string
	// Write allows to change what is in it.
	Write bool
}

// A world is a Config that was checked.
type world struct {
	args, env     list
	folders       []Folder
	clock, random bool
	seed          [32]byte
	log           func(string)
}

// Functions returns WASI. It fails when a folder cannot be opened, two have one
// name, or a string could not be told to a guest.
func Functions(cfg Config) (executor.HostFuncs, error) {
	w := &world{clock: cfg.Clock, random: cfg.Random, seed: cfg.Seed, log: cfg.Log}
	var err error
	if w.folders, err = checkFolders(cfg.Folders); err != nil {
		return executor.HostFuncs{}, err
	}
	env, err := environment(cfg.Env)
	if err != nil {
		return executor.HostFuncs{}, err
	}
	if i := slices.IndexFunc(cfg.Args, unfit); i >= 0 {
		return executor.HostFuncs{}, fmt.Errorf("argument %q of the guest: it holds a zero byte or no UTF-8", cfg.Args[i])
	}
	w.args, w.env = newList(cfg.Args), newList(env)
	return executor.HostFuncs{Name: Name, New: w.instantiate}, nil
}

// checkFolders returns folders with the names that guests see.
func checkFolders(folders []Folder) ([]Folder, error) {
	seen := map[string]bool{}
	folders = slices.Clone(folders)
	for i := range folders {
		f := &folders[i]
		name := path.Clean("/" + f.Name)
		switch {
		case f.Name == "" || unfit(f.Name) || len(name) > maxPath:
			return nil, fmt.Errorf("folder %s: %q is no name for a guest; give one such as \"maps\"", f.Path, f.Name)
		case seen[name]:
			return nil, fmt.Errorf("folder %s: another one is named %q, too", f.Path, name)
		}
		f.Name, seen[name] = name, true
		root, err := os.OpenRoot(f.Path)
		if err != nil {
			return nil, fmt.Errorf("folder %q of the guest: %w", name, err)
		}
		root.Close()
	}
	return folders, nil
}

// environment returns env as guests see it.
func environment(env map[string]string) ([]string, error) {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		entry := name + "=" + env[name]
		if name == "" || strings.Contains(name, "=") || unfit(entry) {
			return nil, fmt.Errorf("environment variable %q of the guest: its name is empty or holds =, or it holds a zero byte or no UTF-8", name)
		}
		all = append(all, entry)
	}
	return all, nil
}

// unfit says whether guests could not be told s.
func unfit(s string) bool { return !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 }

// firstFolder is the descriptor of the first folder that a guest is given, behind
// its standard streams.
const firstFolder = 3

// An instance is what one guest has. It belongs to one goroutine.
type instance struct {
	world  *world
	fds    []object // by descriptor; nil: closed
	listed int      // names that open folders hold
	clock  clock
	seeded *rand.ChaCha8 // nil: not used yet
}

// instantiate returns the functions of one instance.
func (w *world) instantiate() ([]executor.HostFunc, func()) {
	in := &instance{world: w, clock: newClock(w.clock)}
	in.fds = []object{&stream{input: true}, &stream{log: w.log}, &stream{log: w.log}}
	for _, f := range w.folders {
		in.fds = append(in.fds, &folder{name: f.Name, path: f.Path, write: f.Write})
	}
	funcs := make([]executor.HostFunc, len(functions))
	for i := range functions {
		funcs[i] = functions[i].host(in)
	}
	return funcs, in.close
}

// close closes what the guest left open.
func (in *instance) close() {
	for _, o := range in.fds {
		if o != nil {
			_ = o.close() // nobody is left to be told
		}
	}
	in.fds = nil
}
