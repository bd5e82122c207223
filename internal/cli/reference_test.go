package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The page has each command that help lists, its text as text, its columns as they are, and its flags.
func TestReference(t *testing.T) {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "prog", Short: "Do *things*"}
	sub := &cobra.Command{Use: "sub ADDR", Short: "Go", Long: "sub goes to <ADDR>.\n\n  prog sub a\n  prog sub b", Run: run}
	sub.Flags().StringP("out", "o", "x", "`file` to write")
	sub.Flags().Bool("secret", false, "")
	sub.Flags().MarkHidden("secret")
	sub.AddCommand(&cobra.Command{Use: "below", Short: "Deeper", Run: run})
	root.AddCommand(sub, &cobra.Command{Use: "hidden", Hidden: true, Run: run}, &cobra.Command{Use: "completion", Run: run})

	got := string(Reference(root))
	want := "Do \\*things\\*. This is what each command prints with `-h`, on one page.\n\n" +
		"## prog sub\n\n```\nprog sub ADDR [flags]\n```\n\nsub goes to &lt;ADDR>.\n\n```\n  prog sub a\n  prog sub b\n```\n\n" +
		"- `-o, --out file`: file to write (default x)\n\n" +
		"## prog sub below\n\n```\nprog sub below\n```\n\nDeeper.\n"
	if !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant it to end with\n%s", got, want)
	}
}
