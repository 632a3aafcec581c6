package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dailies/manifests"
	"dailies/pipeline"
)

func (a *app) initCommand() *cobra.Command {
	starter, list := "", false
	cmd := &cobra.Command{
		Use: "init [NAME] [flags]", Short: "Write a starter manifest that validates", Args: cobra.MaximumNArgs(1),
		Long: `Writes NAME.yaml, a commented manifest to start from. An existing file is left alone. The starters are:

` + starterList(),
		Example: `  dailies init my-night
  dailies init hud-icons --starter icons`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				_, err := io.WriteString(a.Stdout, starterList())
				return err
			}
			name := "my-batch"
			if len(args) == 1 {
				name = strings.TrimSuffix(strings.TrimSuffix(args[0], ".yaml"), ".yml")
			}
			batch := filepath.Base(name)
			text, err := manifests.Named(starter, batch)
			if err != nil {
				return usagef(cmd, "%w", err)
			}
			path := name + ".yaml"
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return &pipeline.Error{Code: pipeline.CodeUsage, Message: path + " is there already", Hint: "choose another name: dailies init NAME"}
			}
			if err != nil {
				return usagef(cmd, "%w", err)
			}
			_, err = f.Write(text)
			if closeErr := f.Close(); err == nil {
				err = closeErr
			}
			if err != nil {
				return pipeline.Errorf(pipeline.CodeDiskFull, "%s: %w", path, err)
			}
			_, err = fmt.Fprintf(a.Stdout, `%[1]s is yours to edit. Then:
  dailies validate %[1]s
  dailies run %[1]s --sandbox
`, path)
			return err
		},
	}
	cmd.Flags().StringVar(&starter, "starter", manifests.First, "what to start from: "+strings.Join(manifests.List(), ", "))
	cmd.Flags().BoolVar(&list, "starters", false, "list the starters")
	_ = cmd.RegisterFlagCompletionFunc("starter", cobra.FixedCompletions(manifests.List(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// starterList is a line for each starter: its name, and what it says of itself first.
func starterList() string {
	var b strings.Builder
	for _, name := range manifests.List() {
		fmt.Fprintf(&b, "  %-16s %s\n", name, manifests.About(name))
	}
	return b.String()
}
