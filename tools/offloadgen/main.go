package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	if isUnit(os.Args[1:]) {
		unitchecker.Main(unit)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command. It returns the exit status: 0, 1 (failed) or 2 (usage).
func run(args []string, stdout, stderr io.Writer) int {
	whole := len(args) > 0 && args[0] == "vet"
	if whole {
		args = args[1:]
	}
	fs := flag.NewFlagSet("offloadgen", flag.ContinueOnError)
	fs.SetOutput(stderr)
	force := fs.Bool("force", false, "generate even if nothing has changed")
	check := fs.Bool("check", false, "generate nothing; fail if the generated files are not current")
	tags := fs.String("tags", "", "build `tags` of the program, separated by commas, that the module is made with")
	verbose := fs.Bool("v", false, "say what is done and what is left out of the guest")
	fs.Usage = func() { usage(fs) }
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if fs.NArg() > 1 {
		fs.Usage()
		return 2
	}
	g := generator{dir: ".", force: *force, log: io.Discard, told: stderr}
	if fs.NArg() == 1 {
		g.dir = fs.Arg(0)
	}
	if *verbose {
		g.log = stdout
	}
	if *tags != "" {
		g.tags = strings.Split(*tags, ",")
	}
	do := g.run
	switch {
	case whole:
		do = func() error { return vet(g.dir, g.tags) }
	case *check:
		do = g.check
	}
	if err := do(); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func usage(fs *flag.FlagSet) {
	fmt.Fprint(fs.Output(), `usage: offloadgen [-check] [-force] [-tags=TAG,...] [-v] [directory]
       offloadgen vet [-tags=TAG,...] [directory of a program]
       go vet -vettool=$(go tool -n offloadgen) [packages]

Offloadgen makes functions marked with //offload:func elastic, and types marked
with //offload:endpoint the far ends of elastic channels: it writes what calls or
opens them, their codecs and the Wasm module beside the sources of the package in
directory, or in the current one. Lines of //offload:module say what the module may
use. It is run by

	//go:generate go tool offloadgen

The manual: go doc github.com/bungee-xr/bungee/tools/offloadgen

`)
	fs.PrintDefaults()
}
