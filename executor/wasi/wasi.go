// Package wasi is WASI preview 1 as host functions, for every engine.
//
// All functions of wasi_snapshot_preview1 are there, so that any module links. A [Config]
// says what they give to guests; the zero Config gives nothing that belongs to the host.
//
//	w, err := wasi.Functions(wasi.Config{Clock: true, Log: log})
//	in, err := module.Instantiate(ctx, executor.InstanceConfig{Host: []executor.HostFuncs{w}})
//
// # No ambient clock or randomness
//
// Without [Config].Clock the time is made up: each instance starts at the same instant,
// each reading advances the clock by a microsecond, and a sleep advances it by its
// length and returns at once. Files have no times. Without [Config].Random the random
// numbers are a stream of ChaCha8 that each instance starts anew from [Config].Seed:
// good for hash tables and simulations, not for secrets. So two instances that get the
// same calls see the same, on each engine and machine (paper 003). The order of a Go
// guest's maps comes from here, too.
//
// The folders that a guest is granted are real: their bytes, the numbers that identify
// files, and what other programs do there meanwhile. A folder is listed in the order of
// its names. The host functions "bungee" are apart from this: their clock is the host's,
// unless the module's manifest says that it is deterministic.
//
// # Sleep
//
// A sleep ends with its call: at the deadline the guest traps, and when the call is
// cancelled the sleep returns early, so that the guest can end by itself. While a guest
// sleeps, its core is free for other calls. sched_yield gives it up for a moment.
//
// # Files
//
// A guest sees regular files and folders below the folders it is given. No path leads
// out of them: no "..", no link, no absolute path. Programs of the host that come by later
// follow links, so a guest cannot bring one to where it leads out: a link is made, renamed or
// given a second name only if its target goes up no further than to the given folder from
// its new place, and only at its beginning ("../../a", not "a/../b"); else the call fails with
// ENOTCAPABLE. A folder that is moved up with such a link in it, or with more than 16,384 names,
// fails with EXDEV, upon which programs copy it.
//
// Pipes and devices cannot be opened. In a folder without Write each change fails with EROFS. A
// guest can have 1024 files open, read or write at most 1 MiB at a time, and list folders of up to
// 16,384 names. All guests of the process together have at most half of the files that the system
// lets it open; one more fails with ENFILE. Only the disk bounds how much it writes: use one with a quota. A disk that hangs
// holds a call past its deadline. A rename or hard link from one given folder to another
// fails with EXDEV, as between two disks.
//
// # Output
//
// Standard output and standard error go to [Config].Log line by line. A line of more
// than 4 KiB is split. An unfinished last line is logged when the instance is closed.
// The number of lines is not bounded, as that of bungee.log is not. Standard input is
// empty.
//
// # What is refused
//
// Sockets (use package hostfunc/egress), signals, fd_allocate, fd_fdstat_set_rights,
// clocks of processor time, changing how an open file is synchronised, and, on other
// hosts than Linux, the times of a link itself.
//
// proc_exit ends the instance: the error of the call is [executor.ErrTrap] and wraps an
// [*ExitError].
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

// Name is the name that guests import the functions by.
const Name = "wasi_snapshot_preview1"

// Config says what a guest gets. The zero Config gives it a made-up clock and made-up
// random numbers, and nothing else.
type Config struct {
	// Args are the arguments of the guest. The first is its name.
	Args []string
	// Env is the environment of the guest. It is listed in the order of the names.
	Env map[string]string
	// Folders are the folders that the guest can open.
	Folders []Folder
	// Clock gives the guest the real clocks: the wall clock, and a monotonic one that
	// starts with the instance.
	Clock bool
	// Random gives the guest the system's random numbers.
	Random bool
	// Seed is the seed of the made-up random numbers. Zero is a seed like any other.
	Seed [32]byte
	// Log receives the lines of standard output and standard error, on the goroutine
	// that uses the instance. Nil discards them.
	Log func(line string)
}

// A Folder is a folder of the host that a guest can open.
type Folder struct {
	// Name is the path that the guest sees. A missing slash at its head is added:
	// "maps" is /maps.
	Name string
	// Path is the folder's path on the host.
	Path string
	// Write lets the guest change the folder and what is in it.
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

// Functions returns the functions of WASI. It fails when a folder cannot be opened, two
// folders have the same name, or a string cannot be passed to a guest since it is not
// UTF-8 or has a zero byte.
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
	opened int      // how many of fds are not nil
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
	in.opened = len(in.fds)
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
