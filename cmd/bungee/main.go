// Command bungee is the operator's side of Bungee: the edge host daemon and the
// authority that identifies it. "bungee bench" runs the benchmarks of bungee-lab, if that is installed.
//
// "bungee help" lists the commands; each explains itself with -h. Errors go to
// stderr as one sentence; the exit status is 0, 1 (failed) or 2 (usage).
package main

import (
	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
)

func main() {
	compilerMain()
	cli.Main(rootCommand())
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{Use: "bungee", Short: "Edge hosts for elastic functions", Version: version()}
	root.SetVersionTemplate("{{.Version}}")
	root.AddCommand(upCommand(), hostCommand(), managerCommand(), lsCommand(), enrollCommand(), doctorCommand(), explainCommand(), caCommand(), benchCommand(), versionCommand(), manCommand())
	return root
}
