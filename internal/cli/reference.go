package cli

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// referenceCommand is for whoever changes a command: it makes docs/cli.md and docs/cli-lab.md.
func referenceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reference FILE", Short: "Write the reference of all commands, Markdown, into FILE", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return os.WriteFile(args[0], Reference(c.Root()), 0o644) },
	}
}

// Reference returns a page in Markdown with each command below root that help lists, what it
// does and its flags. It leaves out help and completion, which are those of every program with cobra.
func Reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Commands of %s\n\n", root.Name())
	fmt.Fprintf(&b, "<!-- Written by \"make reference\" out of the program; a test says when it is stale. -->\n\n")
	fmt.Fprintf(&b, "%s. This is what each command prints with `-h`, on one page.\n", plain(root.Short))
	describe(&b, root)
	return b.Bytes()
}

// describe writes the commands below c, each followed by those below it.
func describe(b *bytes.Buffer, c *cobra.Command) {
	for _, below := range c.Commands() {
		if !below.IsAvailableCommand() || slices.Contains([]string{"help", "completion"}, below.Name()) {
			continue
		}
		fmt.Fprintf(b, "\n## %s\n\n```\n%s\n```\n", below.CommandPath(), below.UseLine())
		text := below.Long
		if text == "" {
			text = below.Short + "."
		}
		for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
			writeParagraph(b, paragraph)
		}
		writeFlags(b, below.LocalNonPersistentFlags(), "\n")
		writeFlags(b, below.PersistentFlags(), "\nFor all commands below it, too:\n\n")
		describe(b, below)
	}
}

// columns are what a paragraph has whose lines must stay: indented ones, or wide gaps.
var columns = regexp.MustCompile(`(?m)^[ \t]|   `)

// writeParagraph keeps the lines of a paragraph that has columns or code.
func writeParagraph(b *bytes.Buffer, text string) {
	if columns.MatchString(text) {
		fmt.Fprintf(b, "\n```\n%s\n```\n", text)
		return
	}
	fmt.Fprintf(b, "\n%s\n", plain(text))
}

func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet, before string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		b.WriteString(before)
		before = ""
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += " " + value
		}
		if d := f.DefValue; !strings.Contains(usage, "default") && !slices.Contains([]string{"", "0", "false", "[]", "0s"}, d) {
			usage += " (default " + d + ")"
		}
		fmt.Fprintf(b, "- `%s`: %s\n", name, plain(usage))
	})
}

// plain escapes what Markdown would take for more than text.
func plain(text string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`, "[", `\[`, "]", `\]`, "`", "\\`").Replace(text)
}
