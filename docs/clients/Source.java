import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.time.Instant;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.regex.Pattern;

/**
 * A source of events: one session for all threads, refreshed ahead of its end, and each event is sent once.
 * Java 17 or later, no libraries. It reads API_URL, AUTH_ID and SECRET: {@code java Source.java}.
 */
public final class Source {
    private static final int EVENT_MS = 500; // the service answers within 400
    private static final int REFRESH_MS = 2_000;
    private static final int LOG_IN_MS = 3_000;
    private static final Duration REFRESH_AHEAD = Duration.ofSeconds(15);
    private static final Duration AGAIN_AFTER = Duration.ofSeconds(5); // while nobody gets a session

    /** Why an event is not known to be safe. If {@code maybeStored}, it may be: look it up, or send it again with the same id. */
    public static final class NotAccepted extends Exception {
        public final int status; // 0 where there was no answer
        public final String code; // the service's stable word; empty where something else answered
        public final boolean maybeStored;

        NotAccepted(int status, String code, String detail, boolean maybeStored) {
            super(status + " " + code + ": " + detail + "; the event " + (maybeStored ? "may be" : "is not") + " stored");
            this.status = status;
            this.code = code;
            this.maybeStored = maybeStored;
        }
    }

    private final HttpClient client = HttpClient.newHttpClient();
    private final String apiUrl;
    private final String credentials;
    private final ReentrantLock turn = new ReentrantLock();
    private String session;
    private boolean spent; // whether its refresh token is
    private long renewFrom = System.nanoTime();

    public Source(String apiUrl, String authId, String secret) {
        this.apiUrl = apiUrl;
        this.credentials = "{\"authId\":" + quoted(authId) + ",\"secret\":" + quoted(secret) + "}";
    }

    /** Sends one event. Returns what the service said only if the event is safe. */
    public String send(String id, String name, String body) throws NotAccepted, InterruptedException {
        String event = "{\"id\":" + quoted(id) + ",\"name\":" + quoted(name) + ",\"body\":" + quoted(body)
                + ",\"timestamp\":" + quoted(Instant.now().toString()) + "}";
        String used = open(null);
        try {
            return post("/events", event, EVENT_MS, field(used, "accessToken"));
        } catch (NotAccepted refused) {
            if (refused.status != 401) throw refused;
        }
        // The token is no good any more. Nothing was stored, and the same id makes the one repetition harmless.
        return post("/events", event, EVENT_MS, field(open(used), "accessToken"));
    }

    /** The session that all threads share; another one than that which was refused. */
    private String open(String refused) throws NotAccepted, InterruptedException {
        if (!turn.tryLock(REFRESH_MS + LOG_IN_MS, TimeUnit.MILLISECONDS)) {
            throw new NotAccepted(0, "", "another thread is still logging in", false);
        }
        try {
            String old = session == null || session.equals(refused) ? null : session;
            session = old;
            if (old != null && (isFresh(old) || System.nanoTime() - renewFrom < 0)) return old;
            String next = old == null || spent ? null : refreshed(old);
            try {
                session = next != null ? next : post("/user-sessions", credentials, LOG_IN_MS, null);
                spent = false;
            } catch (NotAccepted nobodyGetsOne) {
                if (old == null) throw nobodyGetsOne;
                renewFrom = System.nanoTime() + AGAIN_AFTER.toNanos(); // the service takes the old token a while longer then
            }
            return session;
        } finally {
            turn.unlock();
        }
    }

    private static boolean isFresh(String session) {
        return Instant.now().plus(REFRESH_AHEAD).isBefore(Instant.parse(field(session, "accessTokenExpireDateTime")));
    }

    private String refreshed(String session) throws InterruptedException {
        spent = true; // it is good once, whatever becomes of the answer
        try {
            String token = "{\"refreshToken\":" + quoted(field(session, "refreshToken")) + "}";
            return post("/user-sessions/refresh", token, REFRESH_MS, null);
        } catch (NotAccepted expiredOrNotAnswered) {
            return null;
        }
    }

    private String post(String path, String json, int withinMs, String token) throws NotAccepted, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(apiUrl + path))
                .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(json));
        if (token != null) request.header("Authorization", "Bearer " + token);
        CompletableFuture<HttpResponse<String>> call = client.sendAsync(request.build(), BodyHandlers.ofString());
        int status = 0;
        String said = "", detail = "something else than the service answered";
        try {
            HttpResponse<String> answer = call.get(withinMs, TimeUnit.MILLISECONDS); // for the answer's body, too
            status = answer.statusCode();
            if (answer.body().startsWith("{")) said = answer.body(); // else it is a gateway's page
        } catch (ExecutionException | TimeoutException failed) {
            detail = failed.toString();
        } finally {
            call.cancel(true);
        }
        boolean event = path.equals("/events"), good = status / 100 == 2;
        boolean ours = event ? field(said, "status").equals("accepted") && field(said, "id").equals(field(json, "id"))
                : !field(said, "accessToken").isEmpty();
        if (good && ours) return said;
        // Behind a gateway's answer, or none, the service may have taken the event; not so where the request was refused.
        String code = good ? "" : field(said, "code");
        boolean refused = status / 100 == 4 || code.equals("overloaded");
        throw new NotAccepted(status, code, code.isEmpty() ? detail : field(said, "detail"), event && !refused);
    }

    /** The service's answers are flat: a pattern reads them. Use your JSON library where you have one. */
    private static String field(String json, String name) {
        Pattern pattern = Pattern.compile("\"" + name + "\":\"((?:[^\"\\\\]|\\\\.)*+)\"");
        return pattern.matcher(json).results().map(found -> found.group(1)).findFirst().orElse("");
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            quoted.append(c < ' ' ? String.format("\\u%04x", (int) c) : c == '"' || c == '\\' ? "\\" + c : String.valueOf(c));
        }
        return quoted.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        Source source = new Source(System.getenv("API_URL"), System.getenv("AUTH_ID"), System.getenv("SECRET"));
        System.out.println(source.send(UUID.randomUUID().toString(), "order placed", "two apples"));
    }
}
