package org.example.inventory;

import java.util.*;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Items by name. Not thread-safe; see {@link java.util.concurrent.ConcurrentHashMap}. */
public sealed interface Inventory<K extends Comparable<? super K>> permits Inventory.InMemory {
    int count(K key);

    record Item<K>(K key, int amount, @Deprecated double price) {}

    final class InMemory<K extends Comparable<? super K>> implements Inventory<K> {
        private final Map<K, Integer> amounts = new TreeMap<>();

        @Override
        public int count(final K key) {
            return amounts.getOrDefault(Objects.requireNonNull(key, "key mustn't be null"), 0);
        }

        public static void main(String... args) throws Exception {
            var lengths = Arrays.stream(args)
                    .filter(s -> !s.isBlank())
                    .collect(Collectors.groupingBy(String::length, Collectors.counting()));
            String text = """
                Hello,
                  "world" \t %d
                """.formatted(lengths.size());
            System.out.println(text + (char) 0x41 + 1_000L + 1.0f + '\u00e9');
            switch (args.length) {
                case 0 -> System.exit(1);
                default -> { int i = args.length >>> 1; assert i >= 0 : "can't be"; }
            }
        }
    }
}
