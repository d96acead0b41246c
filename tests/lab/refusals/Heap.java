/** Fills so many MiB of its heap, then goes on for so many milliseconds. */
class Heap {
    public static void main(String[] arguments) throws InterruptedException {
        byte[][] filled = new byte[Integer.parseInt(arguments[0])][];
        for (int i = 0; i < filled.length; i++) {
            filled[i] = new byte[1 << 20];
        }
        System.out.println("done");
        Thread.sleep(Long.parseLong(arguments[1]));
    }
}
