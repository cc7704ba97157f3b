"""`python -m kubeswarm_cli` is the `kubeswarm` command."""

from kubeswarm_cli.main import main

if __name__ == "__main__":
    main()
