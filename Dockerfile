# syntax=docker/dockerfile:1
# The server in an image of nothing but itself: no shell, no package manager, no root.

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Dependencies alone first: this layer is built again only when Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
 && cargo build --release --locked --bin wardbell \
 && rm -rf src benches target/release/wardbell target/release/deps/*wardbell* target/release/.fingerprint/wardbell-*
COPY src src
COPY config config
RUN cargo build --release --locked --bin wardbell && strip target/release/wardbell
# What the binary loads at run time, and nothing else.
RUN mkdir -p /image/data /image/tmp /image/etc/ssl/certs \
 && cp target/release/wardbell /image/wardbell \
 && ldd target/release/wardbell | grep -o '/[^ ]*' | sort -u | xargs -I{} cp -L --parents {} /image \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && printf 'wardbell:x:10001:10001::/data:/none\n' > /image/etc/passwd \
 && printf 'wardbell:x:10001:\n' > /image/etc/group \
 && chown -R 10001:10001 /image/data && chmod 1777 /image/tmp

FROM scratch
COPY --from=build /image /
USER 10001:10001
WORKDIR /data
ENV HOST=0.0.0.0 PORT=5000 LOG_FORMAT=json DATABASE_URL=sqlite:///data/wardbell.db
EXPOSE 5000
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/wardbell", "healthcheck"]
ENTRYPOINT ["/wardbell"]
CMD ["serve"]
