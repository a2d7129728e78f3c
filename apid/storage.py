"""The object cluster as the API process uses it: one client, and the volumes on it, for all services that keep data."""

from __future__ import annotations

from core.env import Env
from core.installation import Installation
from proxy.connect import connect
from proxy.store.verbs import ClusterStore
from volume.keys import FileKeys
from volume.library import volumes_on
from volume.port import Volumes


class Storage:
    """Links that come up by themselves, and what is built on them."""

    def __init__(self, installation: Installation, env: Env) -> None:
        self._cluster = connect(installation, env)
        keys = FileKeys(installation.volume_keys, env)
        self.volumes: Volumes = volumes_on(env, ClusterStore(self._cluster), keys)

    def close(self) -> None:
        """Let go of the links."""
        self._cluster.close()
