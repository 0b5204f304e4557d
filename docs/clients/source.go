// A source of events: logs in, refreshes in time, sends each event once. Standard library only.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	giveUp        = 500 * time.Millisecond
	refreshBefore = 15 * time.Second
)

type session struct {
	AccessToken  string    `json:"accessToken"`
	Expires      time.Time `json:"accessTokenExpireDateTime"`
	RefreshToken string    `json:"refreshToken"`
}

// Refused is what the service said when it was not a 2xx: Code is stable, Detail says whether anything was stored.
type Refused struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (r *Refused) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Detail) }

// Accepted is the answer to an event that is safe.
type Accepted struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	TraceID string `json:"traceId"`
}

// Source sends events of one account; safe for concurrent use.
type Source struct {
	APIURL, AuthID, Secret string

	mutex   sync.Mutex
	session *session
}

// Send sends one event. An id of your own makes a repetition harmless.
func (s *Source) Send(ctx context.Context, id, name, body string) (*Accepted, error) {
	token, err := s.accessToken(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	event := map[string]string{"id": id, "name": name, "body": body, "timestamp": time.Now().UTC().Format(time.RFC3339Nano)}
	accepted := new(Accepted)
	return accepted, s.post(ctx, "/events", token, event, accepted)
}

func (s *Source) accessToken(ctx context.Context) (string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.session != nil && time.Until(s.session.Expires) > refreshBefore {
		return s.session.AccessToken, nil
	}
	next := new(session)
	err := fmt.Errorf("no session yet")
	if s.session != nil {
		err = s.post(ctx, "/user-sessions/refresh", "", map[string]string{"refreshToken": s.session.RefreshToken}, next)
	}
	if err != nil {
		err = s.post(ctx, "/user-sessions", "", map[string]string{"authId": s.AuthID, "secret": s.Secret}, next)
	}
	if err != nil {
		return "", err
	}
	s.session = next
	return next.AccessToken, nil
}

func (s *Source) post(ctx context.Context, path, token string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.APIURL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		refused := &Refused{Status: response.StatusCode}
		_ = json.NewDecoder(response.Body).Decode(refused)
		return refused
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func main() {
	source := &Source{APIURL: os.Getenv("API_URL"), AuthID: os.Getenv("AUTH_ID"), Secret: os.Getenv("SECRET")}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	accepted, err := source.Send(context.Background(), hex.EncodeToString(id), "order placed", "two apples")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(accepted)
}
