// A source of events: one session for all sends, refreshed ahead of its end, and each event is sent once.
// Go 1.24 or later, standard library only. It reads API_URL, AUTH_ID and SECRET: `go run source.go`.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	eventWithin   = 500 * time.Millisecond // the service answers within 400
	refreshWithin = 2 * time.Second
	openWithin    = 5 * time.Second // a refresh that is not answered, and a log-in
	refreshAhead  = 15 * time.Second
	againAfter    = 5 * time.Second // while nobody gets a session
)

// NotAccepted is why an event is not known to be safe. If MaybeStored, it may be: look it up, or send it again with the same id.
type NotAccepted struct {
	Status      int    // 0 where there was no answer
	Code        string // the service's stable word; empty where something else answered
	MaybeStored bool
	Cause       error
}

func (n *NotAccepted) Error() string {
	return fmt.Sprintf("%d %s: %v; the event may be stored: %t", n.Status, n.Code, n.Cause, n.MaybeStored)
}

// answer is what the service says: a session, an accepted event, or a problem.
type answer struct {
	ID, AccessToken, RefreshToken, TraceID, Code, Detail string
	Status                                               any       // a word of an accepted event, a number of a problem
	Ends                                                 time.Time `json:"accessTokenExpireDateTime"`
}

// Source sends events of one account; safe for concurrent use.
type Source struct {
	apiURL, authID, secret string
	client                 http.Client
	session                chan *answer // holds the one session, at first nil; whoever is opening another has taken it out
	renewFrom              time.Time    // whoever has taken it out may change this
}

func NewSource(apiURL, authID, secret string) *Source {
	s := &Source{apiURL: apiURL, authID: authID, secret: secret, session: make(chan *answer, 1)}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.session <- nil
	return s
}

// Send sends one event, and returns the id of its trace only if it is safe; else the error is a *NotAccepted.
func (s *Source) Send(ctx context.Context, id, name, body string) (string, error) {
	event := map[string]string{"id": id, "name": name, "body": body, "timestamp": time.Now().UTC().Format(time.RFC3339Nano)}
	session, err := s.open(ctx, nil)
	if err != nil {
		return "", err
	}
	accepted, err := s.post(ctx, eventWithin, "/events", session.AccessToken, event)
	if refused := new(NotAccepted); errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		// The token is no good any more. Nothing was stored, and the same id makes the one repetition harmless.
		if session, err = s.open(ctx, session); err == nil {
			accepted, err = s.post(ctx, eventWithin, "/events", session.AccessToken, event)
		}
	}
	if err != nil {
		return "", err
	}
	return accepted.TraceID, nil
}

// open returns the session that all share; another one than that which was refused.
func (s *Source) open(ctx context.Context, refused *answer) (next *answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	select {
	case next = <-s.session:
	case <-ctx.Done():
		return nil, &NotAccepted{Cause: ctx.Err()}
	}
	defer func() { s.session <- next }()
	old := next
	if old == refused {
		old = nil
	}
	if old != nil {
		if time.Until(old.Ends) > refreshAhead || time.Now().Before(s.renewFrom) {
			return old, nil
		}
		if token := old.RefreshToken; token != "" {
			old.RefreshToken = "" // it is good once, whatever becomes of the answer
			next, err = s.post(ctx, refreshWithin, "/user-sessions/refresh", "", map[string]string{"refreshToken": token})
			if err == nil {
				return next, nil
			}
		}
	}
	next, err = s.post(ctx, openWithin, "/user-sessions", "", map[string]string{"authId": s.authID, "secret": s.secret})
	if err != nil && old != nil {
		// Nobody gets a session: the service takes the old token a while longer then.
		s.renewFrom = time.Now().Add(againAfter)
		return old, nil
	}
	return next, err
}

func (s *Source) post(ctx context.Context, within time.Duration, path, token string, body map[string]string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, within) // for the answer's body, too
	defer cancel()
	said := new(answer)
	status, err := s.exchange(ctx, path, token, body, said)
	event, good := path == "/events", status/100 == 2
	ours := said.AccessToken != ""
	if event {
		ours = said.Status == "accepted" && said.ID == body["id"]
	}
	if good && ours {
		return said, nil
	}
	if good || said.Code == "" {
		said.Code, said.Detail = "", "something else than the service answered"
	}
	if err == nil {
		err = errors.New(said.Detail)
	}
	// Behind a gateway's answer, or none, the service may have taken the event; not so where the request was refused.
	refused := status/100 == 4 || said.Code == "overloaded"
	return nil, &NotAccepted{Status: status, Code: said.Code, MaybeStored: event && !refused, Cause: err}
}

func (s *Source) exchange(ctx context.Context, path, token string, body map[string]string, said *answer) (int, error) {
	text, _ := json.Marshal(body) // strings cannot fail
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.apiURL+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answered, err := io.ReadAll(response.Body)
	if err == nil && json.Unmarshal(answered, said) != nil {
		*said = answer{} // a gateway's page
	}
	return response.StatusCode, err
}

func main() {
	source, id := NewSource(os.Getenv("API_URL"), os.Getenv("AUTH_ID"), os.Getenv("SECRET")), rand.Text()
	traceID, err := source.Send(context.Background(), id, "order placed", "two apples")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf(`{"id":%q,"status":"accepted","traceId":%q}`+"\n", id, traceID)
}
