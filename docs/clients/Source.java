import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A source of events: logs in, refreshes in time, sends each event once. Java 17 or later, no libraries. */
public final class Source {
    private static final Duration GIVE_UP = Duration.ofMillis(500);
    private static final Duration REFRESH_BEFORE = Duration.ofSeconds(15);

    private final HttpClient client = HttpClient.newHttpClient();
    private final String apiUrl;
    private final String credentials;
    private String session;

    public Source(String apiUrl, String authId, String secret) {
        this.apiUrl = apiUrl;
        this.credentials = "{\"authId\":" + quoted(authId) + ",\"secret\":" + quoted(secret) + "}";
    }

    /** Sends one event. A 202 means that it is safe; anything else is an IOException with what the service said. */
    public String send(String id, String name, String body) throws IOException, InterruptedException {
        String event = "{\"id\":" + quoted(id) + ",\"name\":" + quoted(name) + ",\"body\":" + quoted(body)
                + ",\"timestamp\":" + quoted(Instant.now().toString()) + "}";
        return post("/events", event, accessToken(), GIVE_UP);
    }

    private synchronized String accessToken() throws IOException, InterruptedException {
        if (session == null) {
            session = post("/user-sessions", credentials, null, Duration.ofSeconds(5));
        } else if (Instant.now().plus(REFRESH_BEFORE).isAfter(Instant.parse(field(session, "accessTokenExpireDateTime")))) {
            try {
                String refresh = "{\"refreshToken\":" + quoted(field(session, "refreshToken")) + "}";
                session = post("/user-sessions/refresh", refresh, null, Duration.ofSeconds(5));
            } catch (IOException expiredOrSpent) {
                session = post("/user-sessions", credentials, null, Duration.ofSeconds(5));
            }
        }
        return field(session, "accessToken");
    }

    private String post(String path, String json, String token, Duration timeout) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(apiUrl + path)).timeout(timeout)
                .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(json));
        if (token != null) {
            request.header("Authorization", "Bearer " + token);
        }
        HttpResponse<String> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() / 100 != 2) {
            throw new IOException(answer.statusCode() + " " + answer.body());
        }
        return answer.body();
    }

    /** The service's answers are flat: a pattern reads them. Use your JSON library where you have one. */
    private static String field(String json, String name) throws IOException {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
        if (!found.find()) {
            throw new IOException("the answer has no " + name);
        }
        return found.group(1);
    }

    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\' || c < ' ') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        Source source = new Source(System.getenv("API_URL"), System.getenv("AUTH_ID"), System.getenv("SECRET"));
        System.out.println(source.send(UUID.randomUUID().toString(), "order placed", "two apples"));
    }
}
