// Eight threads that compute, collect garbage and fault: Java makes null pointer exceptions of SIGSEGV,
// and stops threads by taking the right to read a page from them. Ends on SIGTERM.
public class Busy {
    static volatile long rounds, nulls, wrong;
    static volatile boolean stop;
    static Object nothing;

    static int work(int n) {
        return n * 31 + 7;
    }

    static void spin(int id) {
        int sum = id;
        while (!stop) {
            for (int i = 0; i < 1000; i++) sum = work(sum);
            try {
                nothing.hashCode();  // a fault that the VM turns into an exception
                wrong++;
            } catch (NullPointerException expected) {
                nulls++;
            }
            rounds++;
            if ((rounds & 63) == 0) System.gc();
        }
    }

    public static void main(String[] args) throws Exception {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stop = true;
            System.out.println("done rounds=" + rounds + " nulls=" + nulls + " wrong=" + wrong);
        }));
        for (int i = 0; i < 8; i++) {
            int id = i;
            Thread t = new Thread(() -> spin(id));
            t.setDaemon(true);
            t.start();
        }
        for (int beat = 0; ; beat++) {
            System.out.println("beat " + beat + " rounds " + rounds + " nulls " + nulls);
            Thread.sleep(20);
        }
    }
}
