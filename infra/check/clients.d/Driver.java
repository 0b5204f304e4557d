import java.util.ArrayList;
import java.util.List;
import java.util.Scanner;

/** Sends what infra/check/clients says, by the guide's Java client: each line of stdin has ids to send at the same time. */
final class Driver {
    public static void main(String[] arguments) throws InterruptedException {
        Source source = new Source(System.getenv("API_URL"), System.getenv("AUTH_ID"), System.getenv("SECRET"));
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            List<Thread> threads = new ArrayList<>();
            for (String id : lines.nextLine().split(" ")) threads.add(new Thread(() -> send(source, id)));
            threads.forEach(Thread::start);
            for (Thread thread : threads) thread.join();
        }
    }

    private static void send(Source source, String id) {
        long began = System.nanoTime();
        String told;
        try {
            told = "\"accepted\":" + source.send(id, "order placed", "two apples").contains("\"accepted\"");
        } catch (Source.NotAccepted error) {
            told = String.format("\"error\":\"NotAccepted\",\"status\":%d,\"code\":\"%s\",\"maybeStored\":%b",
                    error.status, error.code, error.maybeStored);
        } catch (Exception | StackOverflowError error) {
            told = "\"error\":\"" + error.getClass().getSimpleName() + "\"";
        }
        String escaped = id.replaceAll("[\"\\\\]", "\\\\$0");
        System.out.println("{\"id\":\"" + escaped + "\",\"ms\":" + (System.nanoTime() - began) / 1_000_000 + "," + told + "}");
    }
}
