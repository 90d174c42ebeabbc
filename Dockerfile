# All commands in one image; docs/install.md has the lines to build and to run it.
#   CPU:  docker build -t rsisrefiner .
#   CUDA: docker build -t rsisrefiner:cuda --build-arg EXTRAS=annotate,export,cuda .
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS wheel
COPY . /src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist /src

FROM python:${PYTHON}-slim
# NVIDIA's libraries come with the extra cuda, from the package index: no other base image is needed.
ARG EXTRAS=annotate,export
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir "$(echo /dist/*.whl)[${EXTRAS}]"
RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /data
EXPOSE 8000
ENTRYPOINT ["rsisrefiner"]
CMD ["--help"]
