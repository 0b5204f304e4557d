// Sends what infra/check/clients says, by the guide's Go client: each line of stdin has ids to send at the same time.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// The guide's file has a `main`, which would send one event; what is here runs before it.
func init() {
	source := NewSource(os.Getenv("API_URL"), os.Getenv("AUTH_ID"), os.Getenv("SECRET"))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var sends sync.WaitGroup
		for _, id := range strings.Fields(lines.Text()) {
			sends.Add(1)
			go func() {
				defer sends.Done()
				tell(source, id)
			}()
		}
		sends.Wait()
	}
	os.Exit(0)
}

func tell(source *Source, id string) {
	began := time.Now()
	trace, err := source.Send(context.Background(), id, "order placed", "two apples")
	told := map[string]any{"id": id, "ms": time.Since(began).Milliseconds(), "accepted": trace != ""}
	if refused := new(NotAccepted); errors.As(err, &refused) {
		told["error"], told["status"], told["code"], told["maybeStored"] = "NotAccepted", refused.Status, refused.Code, refused.MaybeStored
	} else if err != nil {
		told["error"] = fmt.Sprintf("%T", err)
	}
	line, _ := json.Marshal(told)
	os.Stdout.Write(append(line, '\n'))
}
