// Command bungee-lab is what measures Bungee and checks it: the benchmarks, the papers'
// figures, the channels' checker. It is not shipped; "bungee bench" runs it where it is.
//
// "bungee-lab help" lists the commands; each explains itself with -h. Errors go to
// stderr as one sentence; the exit status is 0, 1 (failed, or a target is missed) or 2
// (usage).
package main

import (
	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
)

func main() { cli.Main(rootCommand()) }

func rootCommand() *cobra.Command {
	root := &cobra.Command{Use: "bungee-lab", Short: "Measure and check Bungee"}
	root.AddCommand(benchCommand())
	return root
}
